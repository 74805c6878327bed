/** What the gateway is told by its environment, read once. The only reader of `process.env` in this room. */
import { join } from "node:path";
import { z } from "zod";

/**
 * RFC 5321 §4.5.3.2, in ms, as upper bounds for one reply; `reachDot` is for everything before the final dot together, waiting for
 * a connection too. With the ten minutes after the dot it stays under the fourteen that the Worker waits.
 */
const Timeouts = z
  .object({
    connect: z.number().default(30_000),
    greeting: z.number().default(60_000),
    command: z.number().default(120_000),
    data: z.number().default(120_000),
    block: z.number().default(120_000),
    afterDot: z.number().default(600_000),
    reachDot: z.number().default(180_000),
    idle: z.number().default(10_000),
    dns: z.number().default(5_000),
    routeCache: z.number().default(60_000),
    drain: z.number().default(25_000),
  })
  .prefault({});
export type Timeouts = z.infer<typeof Timeouts>;

const port = z.coerce.number().int().min(0).max(65_535);
const list = z.string().transform((text) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

const Environment = z.object({
  EDGEPOST_GATEWAY_HTTP_PORT: port.default(8788),
  EDGEPOST_GATEWAY_HOST: z.string().default("127.0.0.1"),
  GATEWAY_SECRET: z.string().min(16, "needs 16 characters or more"),
  EDGEPOST_HOME: z.string().default(".edgepost"),
  GATEWAY_STATE: z.string().optional(),
  /** Resolvers instead of the system's: "127.0.0.1:2653", or several with commas. */
  EDGEPOST_DNS: list.default([]),
  EDGEPOST_MX_PORT: port.default(25),
  EDGEPOST_ALLOW_PRIVATE_MX: z.string().default(""),
  EDGEPOST_CA_FILE: z.string().optional(),
  GATEWAY_NAME: z
    .string()
    .regex(/^[a-z0-9.-]+$/i, "is a host name")
    .default("localhost.localdomain"),
  GATEWAY_SOURCE_ADDRESSES: list.default([]),
  /** JSON, for tests: any of the time-outs, in ms. */
  GATEWAY_TIMEOUTS: z
    .string()
    .default("{}")
    .transform((text) => JSON.parse(text) as unknown)
    .pipe(Timeouts),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

export interface Config {
  host: string;
  port: number;
  secret: string;
  /** Folder of the journal. */
  state: string;
  dns: string[];
  mxPort: number;
  allowPrivateMx: boolean;
  caFile: string | undefined;
  /** What we call ourselves in EHLO. */
  name: string;
  sourceAddresses: string[];
  timeouts: Timeouts;
  logLevel: string;
}

/** Throws an error whose message is a sentence that names the variable. */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`${issue?.path.join(".") || "The environment"}: ${issue?.message}.`);
  }
  const env = parsed.data;
  return {
    host: env.EDGEPOST_GATEWAY_HOST,
    port: env.EDGEPOST_GATEWAY_HTTP_PORT,
    secret: env.GATEWAY_SECRET,
    state: env.GATEWAY_STATE ?? join(env.EDGEPOST_HOME, "gateway"),
    dns: env.EDGEPOST_DNS,
    mxPort: env.EDGEPOST_MX_PORT,
    allowPrivateMx: env.EDGEPOST_ALLOW_PRIVATE_MX === "1",
    caFile: env.EDGEPOST_CA_FILE,
    name: env.GATEWAY_NAME,
    sourceAddresses: env.GATEWAY_SOURCE_ADDRESSES,
    timeouts: env.GATEWAY_TIMEOUTS,
    logLevel: env.LOG_LEVEL,
  };
}
