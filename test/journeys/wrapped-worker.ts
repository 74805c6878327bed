/**
 * The real Worker with its bindings wrapped, for two kinds of tests: each call is counted as Cloudflare would bill it, and
 * while a test says so, D1, R2, the event log or what keeps opens and clicks refuses every call, or never answers it. The counts and the faults are at /test/counts and /test/faults.
 */

import type { Env } from "../../src/bindings.ts";
import worker, {
  Destination as RealDestination,
  Events as RealEvents,
  Outbox as RealOutbox,
  Seen as RealSeen,
} from "../../src/worker.ts";

/** Billed units since the last reset. Everything of the local runtime is in one process, and so is this module. */
const counts = {
  workerRequests: 0,
  queueOperations: 0,
  objectRequests: 0,
  objectRowsWritten: 0,
  d1RowsWritten: 0,
  r2Puts: 0,
  r2Gets: 0,
};
/** Isolates of one process do not share memory when they are objects' and the entry's; locally they do. */
const faults = { d1: false, r2: false, events: false, seen: false };

const QUEUE_OPERATIONS = 3;

/** What has a fault answers nothing, instead of refusing. */
let isSilent = false;

async function refuse(what: keyof typeof faults): Promise<void> {
  if (!faults[what]) return;
  if (isSilent) await new Promise(() => undefined);
  throw new Error(`${what} refuses: a fault of the test`);
}

function wrap<T extends object>(target: T, methods: Record<string, (...args: never[]) => unknown>): T {
  return new Proxy(target, {
    get(of, name) {
      const own = methods[String(name)];
      if (own) return own;
      const value = Reflect.get(of, name);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

const RAW = Symbol("the real statement");
type Statement = D1PreparedStatement & { [RAW]?: D1PreparedStatement };

function d1(database: D1Database): D1Database {
  const billed = <R extends { meta?: { rows_written?: number } }>(result: R): R => {
    counts.d1RowsWritten += result.meta?.rows_written ?? 0;
    return result;
  };
  const statement = (real: D1PreparedStatement): D1PreparedStatement => {
    const wrapped = wrap(real, {
      bind: (...values: unknown[]) => statement(real.bind(...values)),
      async run() {
        await refuse("d1");
        return billed(await real.run());
      },
      async all() {
        await refuse("d1");
        return billed(await real.all());
      },
      async raw(options: never) {
        await refuse("d1");
        return real.raw(options);
      },
      async first(column: never) {
        await refuse("d1");
        return column === undefined ? real.first() : real.first(column);
      },
    });
    return new Proxy(wrapped, { get: (of, name) => (name === RAW ? real : Reflect.get(of, name)) });
  };
  return wrap(database, {
    prepare: (sql: string) => statement(database.prepare(sql)),
    async batch(statements: Statement[]) {
      await refuse("d1");
      return (await database.batch(statements.map((s) => s[RAW] ?? s))).map(billed);
    },
  });
}

function r2(bucket: R2Bucket): R2Bucket {
  return wrap(bucket, {
    async put(key: string, value: Uint8Array, options: R2PutOptions) {
      await refuse("r2");
      counts.r2Puts++;
      return bucket.put(key, value, options);
    },
    async get(key: string, options: R2GetOptions) {
      await refuse("r2");
      counts.r2Gets++;
      return bucket.get(key, options);
    },
  });
}

function objects<T extends object>(namespace: T, fault?: keyof typeof faults): T {
  const real = namespace as unknown as DurableObjectNamespace;
  return wrap(namespace, {
    get(...args: Parameters<DurableObjectNamespace["get"]>) {
      const stub = real.get(...args);
      return new Proxy(stub, {
        get(of, name) {
          const value: unknown = Reflect.get(of, name);
          if (typeof value !== "function") return value;
          return async (...values: unknown[]) => {
            if (fault) await refuse(fault);
            counts.objectRequests++;
            return Reflect.apply(value, of, values);
          };
        },
      });
    },
  });
}

function queue<T extends Queue<never>>(real: T): T {
  return wrap(real, {
    sendBatch(messages: Iterable<MessageSendRequest<never>>) {
      counts.queueOperations += [...messages].length * QUEUE_OPERATIONS;
      return real.sendBatch(messages);
    },
  });
}

function wrapped(env: Env): Env {
  return {
    ...env,
    DIRECTORY: d1(env.DIRECTORY),
    ARCHIVE: d1(env.ARCHIVE),
    MAIL: r2(env.MAIL),
    DELIVERIES: queue(env.DELIVERIES as Queue<never>) as Env["DELIVERIES"],
    OUTBOX: objects(env.OUTBOX),
    DESTINATION: objects(env.DESTINATION),
    EVENTS: objects(env.EVENTS, "events"),
    SEEN: objects(env.SEEN, "seen"),
  };
}

/** Rows that an object writes: by SQL, by its key-value storage, and one for each alarm that is set. */
function meter(storage: DurableObjectStorage): void {
  const { sql, kv } = storage;
  const exec = sql.exec.bind(sql);
  Object.defineProperty(sql, "exec", {
    value: (...args: Parameters<SqlStorage["exec"]>) => {
      const cursor = exec(...args);
      counts.objectRowsWritten += cursor.rowsWritten;
      return cursor;
    },
  });
  const put = kv.put.bind(kv);
  Object.defineProperty(kv, "put", {
    value: (...args: Parameters<typeof put>) => {
      counts.objectRowsWritten++;
      return put(...args);
    },
  });
  const setAlarm = storage.setAlarm.bind(storage);
  Object.defineProperty(storage, "setAlarm", {
    value: (...args: Parameters<typeof setAlarm>) => {
      counts.objectRowsWritten++;
      return setAlarm(...args);
    },
  });
}

export class Outbox extends RealOutbox {
  constructor(ctx: DurableObjectState, env: Env) {
    meter(ctx.storage);
    super(ctx, wrapped(env));
  }

  override async alarm(): Promise<void> {
    counts.objectRequests++;
    await super.alarm();
  }
}

export { Bulk, Hook, Schedule } from "../../src/worker.ts";

export class Seen extends RealSeen {
  constructor(ctx: DurableObjectState, env: Env) {
    meter(ctx.storage);
    super(ctx, wrapped(env));
  }
}

export class Events extends RealEvents {
  constructor(ctx: DurableObjectState, env: Env) {
    meter(ctx.storage);
    super(ctx, wrapped(env));
  }
}

export class Destination extends RealDestination {
  constructor(ctx: DurableObjectState, env: Env) {
    meter(ctx.storage);
    super(ctx, wrapped(env));
  }
}

/** What the archive holds, uncounted: of one tag, or of all. */
async function archived(env: Env, tag: string | null): Promise<Response> {
  const ofTag = tag === null ? "" : " WHERE tag = ?";
  const messages = env.ARCHIVE.prepare(
    `SELECT count(*) messages, count(segment) segments FROM messages${ofTag}`,
  );
  const [found, delivered] = await env.ARCHIVE.batch<Record<string, number>>([
    tag === null ? messages : messages.bind(tag),
    env.ARCHIVE.prepare("SELECT count(*) delivered FROM recipients WHERE state = 'delivered'"),
  ]);
  return Response.json({ counts: { ...found?.results[0], ...delivered?.results[0] } });
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/test/counts") {
      const now = { ...counts };
      if (request.method === "DELETE")
        for (const name of Object.keys(counts)) counts[name as keyof typeof counts] = 0;
      return Response.json(now);
    }
    if (pathname === "/test/faults") {
      faults.d1 = searchParams.get("d1") === "1";
      faults.r2 = searchParams.get("r2") === "1";
      faults.events = searchParams.get("events") === "1";
      faults.seen = searchParams.get("seen") === "1";
      isSilent = searchParams.get("silent") === "1";
      return Response.json(faults);
    }
    if (pathname === "/test/archive") return archived(env, searchParams.get("tag"));
    counts.workerRequests++;
    return worker.fetch(request as Parameters<typeof worker.fetch>[0], wrapped(env), ctx);
  },
  queue(batch: MessageBatch, env: Env, ctx: ExecutionContext) {
    counts.workerRequests++;
    return worker.queue(batch as Parameters<typeof worker.queue>[0], wrapped(env), ctx);
  },
  scheduled(controller: ScheduledController, env: Env, ctx: ExecutionContext) {
    counts.workerRequests++;
    return worker.scheduled(controller, wrapped(env), ctx);
  },
};
