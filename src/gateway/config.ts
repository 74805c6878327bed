/** What the gateway is told by its environment, read once. The only reader of `process.env` in this room. */
import { join } from "node:path";
import * as z from "zod";

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

/** RFC 5321 §4.5.3.2.7 has a server wait five minutes for a command; the others bound what one client may hold. All in ms or counts. */
const DoorLimits = z
  .object({
    /**
     * Sessions in all; from one address where nobody has logged in lately; and from one where somebody has. A pool opens its connections
     * before the first of them has logged in, and what is refused then is mail that its program calls failed: pools of fifty come in, two
     * behind one address too. Fifty strangers could hold all sessions then, each for ten minutes; who has more addresses could with 20 as well.
     */
    sessions: z.number().default(5_000),
    sessionsPerAddress: z.number().default(100),
    sessionsPerKnownAddress: z.number().default(200),
    /** Silence, and a session's whole time without AUTH and with it. */
    idle: z.number().default(300_000),
    sessionWithoutAuth: z.number().default(600_000),
    session: z.number().default(24 * 3_600_000),
    /** From the command to the dot, and the least bytes a second of it once that has run for a while. */
    data: z.number().default(600_000),
    dataBytesPerSecond: z.number().default(256),
    handshake: z.number().default(30_000),
    commandsWithoutMail: z.number().default(100),
    errors: z.number().default(20),
    recipients: z.number().default(1_000),
    loginFailures: z.number().default(3),
    headerBytes: z.number().default(256 * 1024),
    headerFields: z.number().default(1_000),
    receivedFields: z.number().default(50),
  })
  .prefault({});
export type DoorLimits = z.infer<typeof DoorLimits>;

/** What keeps mail while the Worker is away. */
const SpoolLimits = z
  .object({
    /** How long a session waits for the Worker before its message is spooled. */
    patience: z.number().default(10_000),
    /** How long a forwarded batch may take, once it is in the spool. */
    forward: z.number().default(60_000),
    bytes: z.number().default(10 * 1024 ** 3),
    /** Of the disk that holds it, kept free. */
    freeShare: z.number().default(0.1),
    /** Then it is held for a person, and no more tried by itself. */
    age: z.number().default(5 * 24 * 3_600_000),
  })
  .prefault({});
export type SpoolLimits = z.infer<typeof SpoolLimits>;

/**
 * "[host:]port:kind": `mx` takes AUTH and, without it, mail for our own domains (25, 2525); `submission` wants AUTH (587); `tls` is
 * submission with TLS from the first byte (465). "+proxy" after the kind: behind a load balancer that speaks the PROXY protocol.
 */
export interface Listener {
  host: string;
  port: number;
  kind: "mx" | "submission" | "tls";
  proxy: boolean;
}
const LISTENER = /^(?:(?<host>.+):)?(?<port>\d{1,5}):(?<kind>mx|submission|tls)(?<proxy>\+proxy)?$/;

const listener = z.string().transform((text, context): Listener => {
  const { host, port, kind, proxy } = LISTENER.exec(text)?.groups ?? {};
  if (kind === undefined || Number(port) > 65_535) {
    context.addIssue(`${text} is not a listener: "[host:]port:kind", with the kind mx, submission or tls`);
    return z.NEVER;
  }
  // "::" takes IPv4 as well.
  const bare = host?.replace(/^\[(.*)\]$/, "$1") ?? "::";
  return { host: bare, port: Number(port), kind: kind as Listener["kind"], proxy: proxy !== undefined };
});

const json = z
  .string()
  .default("{}")
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue("is not JSON");
      return z.NEVER;
    }
  });

const Environment = z.object({
  /** The Worker's address: "https://edgepost.example.workers.dev". Without it there is no front door. */
  EDGEPOST_WORKER_URL: z.url().optional(),
  /** With commas: "25:mx,2525:mx,587:submission,465:tls". */
  GATEWAY_SMTP_LISTEN: list.pipe(z.array(listener)).default([]),
  GATEWAY_TLS_CERT: z.string().optional(),
  GATEWAY_TLS_KEY: z.string().optional(),
  /** For clients that have no TLS: their passwords and mail can then be read on the way. */
  GATEWAY_AUTH_IN_CLEAR: z.string().default(""),
  /** From which PROXY headers are believed, when a listener says "+proxy". */
  GATEWAY_PROXIES: list.default([]),
  GATEWAY_DOOR_LIMITS: json.pipe(DoorLimits),
  GATEWAY_SPOOL_LIMITS: json.pipe(SpoolLimits),
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
  GATEWAY_TIMEOUTS: json.pipe(Timeouts),
  LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
});

export interface Config {
  /** undefined: egress only. */
  door: DoorConfig | undefined;
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

export interface DoorConfig {
  workerUrl: string;
  listeners: Listener[];
  /** Files in PEM. */
  certFile: string;
  keyFile: string;
  authInClear: boolean;
  proxies: string[];
  limits: DoorLimits;
  spool: SpoolLimits;
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
    door: doorOf(env),
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

function doorOf(env: z.infer<typeof Environment>): DoorConfig | undefined {
  if (env.GATEWAY_SMTP_LISTEN.length === 0) return undefined;
  const given = (name: "EDGEPOST_WORKER_URL" | "GATEWAY_TLS_CERT" | "GATEWAY_TLS_KEY") => {
    const value = env[name];
    if (value === undefined) throw new Error(`${name}: is needed for GATEWAY_SMTP_LISTEN.`);
    return value;
  };
  return {
    workerUrl: given("EDGEPOST_WORKER_URL"),
    listeners: env.GATEWAY_SMTP_LISTEN,
    certFile: given("GATEWAY_TLS_CERT"),
    keyFile: given("GATEWAY_TLS_KEY"),
    authInClear: env.GATEWAY_AUTH_IN_CLEAR === "1",
    proxies: env.GATEWAY_PROXIES,
    limits: env.GATEWAY_DOOR_LIMITS,
    spool: env.GATEWAY_SPOOL_LIMITS,
  };
}
