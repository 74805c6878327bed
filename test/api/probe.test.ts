/** What a probe says of itself at each of its stages; the journey sends one (test/journeys/comes-back.test.ts). */
import { expect, it } from "vitest";
import { describe as state } from "../../src/api/probe.ts";
import type { RecipientRecord } from "../../src/mail/record.ts";
import { attempt, delivered, message, NOON, waiting } from "../archive/databases.ts";

const TO = "p-1@bounces.mail.example";
const BACK = [{ email: TO, type: "Unknown", dump: "dumps/x" }];

function shown(recipient: RecipientRecord, of: Partial<Parameters<typeof state>[1]> = {}) {
  const { State, Steps, Advice } = state(message([recipient]), {
    bounces: [],
    isTold: false,
    now: NOON + 5_000,
    ...of,
  });
  return { State, Steps: Steps.map((s) => s.State).join(" "), Advice };
}

it.each<[string, ReturnType<typeof shown>, object]>([
  ["waits", shown(waiting(TO)), { State: "Waiting", Steps: "Done Waiting Waiting Waiting", Advice: "" }],
  ["is sent", shown(delivered(TO)), { State: "Waiting", Steps: "Done Done Waiting Waiting", Advice: "" }],
  [
    "is back",
    shown(delivered(TO), { bounces: BACK }),
    { State: "Waiting", Steps: "Done Done Done Waiting", Advice: "" },
  ],
  [
    "is told",
    shown(delivered(TO), { bounces: BACK, isTold: true }),
    { State: "Working", Steps: "Done Done Done Done", Advice: "" },
  ],
  [
    "does not come back",
    shown(delivered(TO), { now: NOON + 120_000 }),
    {
      State: "Broken",
      Steps: "Done Done Missing Missing",
      Advice: expect.stringMatching(/no report has come back/),
    },
  ],
  [
    "is not told",
    shown(delivered(TO), { bounces: BACK, now: NOON + 120_000 }),
    { State: "Broken", Steps: "Done Done Done Missing", Advice: expect.stringMatching(/event log/) },
  ],
  [
    "is refused",
    shown({
      ...{ email: TO, state: "bounced", at: NOON },
      attempts: [
        attempt(1, { result: "bounced", reply: { code: 550, enhanced: "5.7.1", text: "relaying denied" } }),
      ],
    }),
    {
      State: "Broken",
      Steps: "Done Failed Waiting Waiting",
      Advice: expect.stringMatching(/did not get to bounces/),
    },
  ],
])("a probe that %s", (_, is, wanted) => expect(is).toEqual(wanted));
