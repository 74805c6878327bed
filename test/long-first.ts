/**
 * The order of test files: the longest first, so that none is begun last and kept waiting for alone. Those that mostly wait (for a store
 * that is away, for what must be known to be forgotten) stand between those that keep the machine busy.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** As they were measured. What is not named comes after them, as vitest would have it. */
const LONG = [
  "journeys/comes-back",
  "journeys/removals",
  "journeys/bulk",
  "journeys/faults",
  "journeys/kill",
  "journeys/smtp-away",
  "api/every-endpoint",
  "gateway/spool/crash",
  "journeys/smtp-postfix",
  "journeys/events",
  "journeys/schedule",
  "journeys/",
  "dialogs/dialogs",
  "clients/",
  "accept/schedule",
  "accept/bulk",
  "gateway/spool/spool",
  "deliver/consume",
  "gateway/egress/",
  "receive/take",
  "local/",
];

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification) => {
      const place = LONG.findIndex((name) => moduleId.includes(`/test/${name}`));
      return place < 0 ? LONG.length : place;
    };
    // Stable: among those of one rank the order stays.
    return rest.toSorted((a, b) => rank(a) - rank(b));
  }
}
