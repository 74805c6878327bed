/** Programs that people send with, each told to submit one ready-made message with TLS and a login, and what it heard. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTransport } from "nodemailer";

export interface Door {
  /** In clear until STARTTLS, or TLS from the first byte. */
  tls: "starttls" | "implicit";
  port: number;
  caFile: string;
  token: string;
}

export interface Submission {
  from: string;
  to: string;
  raw: Buffer;
}

/** Longer than any of them waits by itself. */
const GIVE_UP_MS = 40_000;

export interface Client {
  /** What has to be installed; undefined when npm has brought it. */
  program?: string;
  /** The dialog or the reply, as it shows them; throws when it says that it failed. */
  send(door: Door, submission: Submission): Promise<string>;
}

/** Runs it with a timeout and returns all that it printed. */
function run(program: string, args: string[], input?: Buffer): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(program, args, { timeout: GIVE_UP_MS, stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    const hear = (chunk: Buffer) => {
      said += chunk.toString("latin1");
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    // A client that ends before it has read its input has said why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    child.on("error", failed);
    child.on("close", (code, signal) =>
      code === 0 ? done(said) : failed(new Error(`${program} ended with ${signal ?? code}: ${said}`)),
    );
  });
}

async function withFile<T>(content: Buffer | string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "smtp-client-"));
  const path = join(folder, "file");
  // msmtp refuses a configuration that others may read.
  writeFileSync(path, content, { mode: 0o600 });
  return use(path).finally(() => rmSync(folder, { recursive: true }));
}

const bareLines = (raw: Buffer) => Buffer.from(raw.toString("latin1").replaceAll("\r\n", "\n"), "latin1");

export const CLIENTS: Record<string, Client> = {
  swaks: {
    program: "swaks",
    send: ({ tls, port, caFile, token }, { from, to, raw }) =>
      // It ends the last line itself.
      withFile(bareLines(raw).subarray(0, -1), (path) =>
        run("swaks", [
          ...[
            "--server",
            "127.0.0.1",
            "--port",
            String(port),
            tls === "starttls" ? "--tls" : "--tls-on-connect",
          ],
          ...["--tls-verify", "--tls-ca-path", caFile],
          ...["--auth", "LOGIN", "--auth-user", token, "--auth-password", token],
          ...["--from", from, "--to", to, "--data", `@${path}`],
        ]),
      ),
  },

  nodemailer: {
    async send({ tls, port, caFile, token }, { from, to, raw }) {
      const transport = createTransport({
        host: "127.0.0.1",
        port,
        secure: tls === "implicit",
        requireTLS: true,
        auth: { user: token, pass: token },
        tls: { ca: readFileSync(caFile) },
      });
      const { response } = await transport.sendMail({ envelope: { from, to: [to] }, raw });
      return response;
    },
  },

  "Python's smtplib": {
    program: "python3",
    send: ({ tls, port, caFile, token }, { from, to, raw }) =>
      run(
        "python3",
        [join(import.meta.dirname, "smtp-client.py"), tls, String(port), caFile, token, from, to],
        raw,
      ),
  },

  curl: {
    program: "curl",
    send: ({ tls, port, caFile, token }, { from, to, raw }) =>
      withFile(raw, (path) =>
        run("curl", [
          ...["--silent", "--show-error", "--verbose", "--max-time", "30", "--cacert", caFile],
          ...(tls === "starttls" ? ["--ssl-reqd"] : []),
          ...["--url", `${tls === "starttls" ? "smtp" : "smtps"}://127.0.0.1:${port}/client.example`],
          ...["--user", `${token}:${token}`, "--mail-from", from, "--mail-rcpt", to, "--upload-file", path],
        ]),
      ),
  },

  msmtp: {
    program: "msmtp",
    send: ({ tls, port, caFile, token }, { from, to, raw }) => {
      const account = [
        "account default",
        "host localhost",
        `port ${port}`,
        "tls on",
        `tls_starttls ${tls === "starttls" ? "on" : "off"}`,
        `tls_trust_file ${caFile}`,
        "auth plain",
        `user ${token}`,
        `password ${token}`,
        `from ${from}`,
        "",
      ].join("\n");
      return withFile(account, (path) => run("msmtp", ["--debug", `--file=${path}`, to], bareLines(raw)));
    },
  },
};
