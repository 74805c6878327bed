import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System, until } from "../journeys/system.ts";
import { runSuite, type SuiteEnvironment } from "./postmark-js.ts";

let system: System;
let environment: SuiteEnvironment;
const folder = mkdtempSync(join(tmpdir(), "edgepost-suite-"));

beforeAll(async () => {
  system = await System.start();
  const { http, serverToken, accountToken, from, domain } = system.local;
  environment = {
    host: new URL(http).host,
    serverToken,
    accountToken,
    from,
    to: "recipient@customer.test",
    domain,
  };
  // The suite skips what needs a bounce when there is none.
  await system.api("POST", "/email", {
    From: from,
    To: "hardbounce@bounce-testing.postmarkapp.com",
    Subject: "to have a bounce",
    TextBody: "x",
  });
  await until("there is a bounce", async () => {
    const { json } = await system.api("GET", "/bounces");
    return json.TotalCount === 1;
  });
}, 120_000);

afterAll(async () => {
  await system.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Each has a test of its own in the suite, which passes: only where it disagrees with the same suite of another version is a choice. */
const CHOSEN = "Servers - Message Streams archive message stream surfaces API errors";
/** Nothing has been received yet. */
const NEEDS_INBOUND = "Client - Message Statistics getInboundMessageDetails";

describe("postmark.js's own integration suite", () => {
  it("passes in version 5.1.0, but for the archive of a fresh stream, which other clients' suites want to succeed", async () => {
    const { tests, failures, pending } = await runSuite("postmark", environment, folder);
    expect(failures.map((f) => f.title)).toEqual([CHOSEN]);
    expect(pending).toEqual([NEEDS_INBOUND]);
    expect(tests).toBe(80);
  }, 300_000);

  it("passes in version 4.0.7", async () => {
    const { tests, failures, pending } = await runSuite("postmark-4", environment, folder);
    expect(failures).toEqual([]);
    expect(pending).toEqual([NEEDS_INBOUND]);
    expect(tests).toBe(79);
  }, 300_000);
});
