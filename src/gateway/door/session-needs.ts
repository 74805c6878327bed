/** What a session needs of the door, of which there is one for all of them. */
import type { DoorLimits } from "../config.ts";
import type { Intake } from "../intake.ts";
import type { SessionCounts } from "./limits.ts";
import type { Logins } from "./logins.ts";
import type { Memory } from "./message-data.ts";
import type { DoorMetrics } from "./metrics.ts";
import type { OwnDomainList } from "./own-domains.ts";
import type { Session } from "./session.ts";
import type { Tarpit } from "./tarpit.ts";

export interface SessionNeeds {
  /** Our name, in the greeting and in Received fields. */
  name: string;
  limits: DoorLimits;
  authInClear: boolean;
  intake: Intake;
  logins: Pick<Logins, "check">;
  tarpit: Tarpit;
  ownDomains: OwnDomainList;
  counts: SessionCounts;
  memory: Memory;
  metrics: DoorMetrics;
  isStopping(): boolean;
  closed(session: Session): void;
  log(event: string, fields: Record<string, unknown>): void;
}
