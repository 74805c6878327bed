/** The DMARC API: records of domains whose reports we read for whoever asks, and the tokens that show them. */
import { Hono } from "hono";
import * as z from "zod";
import { DnsUnavailable, lookUpTxt } from "../accounts/dns.ts";
import {
  changeEmail,
  createRecord,
  deleteMonitor,
  type Monitor,
  type Recovery,
  reportsAddress,
  rotateToken,
  startRecovery,
} from "../accounts/report-monitors.ts";
import type { SystemMessage } from "../accounts/system-message.ts";
import { forgetReports, reportObjects } from "../archive/dmarc.ts";
import { asciiDomain, parseAddressList } from "../mail/address.ts";
import {
  type DmarcNeeds,
  dmarcRecord,
  readFields,
  shown,
  showRecord,
  told,
  withRecord,
} from "./dmarc-door.ts";
import { dmarcReportRoutes } from "./dmarc-reports.ts";
import { apiPath } from "./path.ts";

const email = z.string("must be an e-mail address").transform((text, context) => {
  const list = parseAddressList(text);
  const [only, ...more] = "ok" in list ? list.ok : [];
  if (only && more.length === 0) return only.email;
  context.addIssue({ code: "custom", message: "must be an e-mail address" });
  return z.NEVER;
});

const domain = z.string("must be a domain").transform((text, context) => {
  const name = asciiDomain(text.trim().toLowerCase().replace(/\.$/, ""));
  if (name) return name;
  context.addIssue({ code: "custom", message: "must be a domain" });
  return z.NEVER;
});

export function dmarcRoutes(needs: DmarcNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  const { directory, now } = needs;

  app.post("/records", async (c) => {
    const fields = await readFields(c.req.raw, z.object({ email, domain }));
    if ("wrong" in fields) return fields.wrong;
    const made = await createRecord(directory, fields.ok, now());
    if (made === "too many")
      return told(422, "Too many records were made of late. Please try again in an hour.");
    return shown({ ...showRecord(made.monitor, needs), private_token: made.token });
  });

  app.get(
    "/records/my",
    withRecord(needs, async (monitor) => shown(showRecord(monitor, needs))),
  );

  app.patch(
    "/records/my",
    withRecord(needs, async (monitor, c) => {
      const fields = await readFields(c.req.raw, z.object({ email }));
      if ("wrong" in fields) return fields.wrong;
      await changeEmail(directory, monitor.id, fields.ok.email);
      return shown(showRecord({ ...monitor, email: fields.ok.email.toLowerCase() }, needs));
    }),
  );

  app.delete(
    "/records/my",
    withRecord(needs, async ({ id }) => {
      // The record last: until it is gone, the call can be made again.
      await needs.deleteObjects(await reportObjects(needs.reports, id));
      await forgetReports(needs.reports, id);
      await deleteMonitor(directory, id);
      return new Response(null, { status: 204 });
    }),
  );

  app.get(
    "/records/my/dns",
    withRecord(needs, async (monitor) =>
      shown({ value: dmarcRecord(showRecord(monitor, needs).reporting_uri) }),
    ),
  );

  app.post(
    "/records/my/verify",
    withRecord(needs, async (monitor) => {
      try {
        return shown({ verified: await isPublished(monitor, needs) });
      } catch (error) {
        if (!(error instanceof DnsUnavailable)) throw error;
        return told(500, "The DNS cannot be asked at the moment. Please try again.");
      }
    }),
  );

  app.post(
    "/records/my/token/rotate",
    withRecord(needs, async (monitor) => {
      const token = await rotateToken(directory, monitor.id);
      return shown({ ...showRecord(monitor, needs), private_token: token });
    }),
  );

  app.post("/tokens/recover", async (c) => {
    const fields = await readFields(
      c.req.raw,
      z.object({ owner: z.string("must be a domain or an address") }),
    );
    if ("wrong" in fields) return fields.wrong;
    const owner = fields.ok.owner.trim().toLowerCase();
    for (const recovery of await startRecovery(directory, owner, now()))
      await needs.sendSystemMessage(recoveryMessage(recovery));
    // The same whether there is such a record or not.
    return shown({});
  });

  app.route("/", dmarcReportRoutes(needs));
  app.onError((error) => {
    const cause = error.cause instanceof Error ? error.cause.stack : undefined;
    needs.log("request failed", { error: error.stack ?? error.message, cause });
    return told(500, "An unexpected error occurred.");
  });
  return app;
}

/** Whether the domain's DMARC record names the address that reports are to go to (RFC 7489 §6.3). */
async function isPublished(monitor: Monitor, needs: DmarcNeeds): Promise<boolean> {
  const address = `mailto:${reportsAddress(monitor, needs.mailDomain)}`;
  const records = await lookUpTxt(`_dmarc.${monitor.domain}`, needs);
  const addresses = records
    .filter((text) => /^\s*v\s*=\s*DMARC1\s*(;|$)/.test(text))
    .flatMap((text) => /(?:^|;)\s*rua\s*=\s*([^;]*)/i.exec(text)?.[1]?.split(",") ?? [])
    // A size may follow: "mailto:a@example.com!10m".
    .map((uri) =>
      uri
        .trim()
        .replace(/!\d+[kmgt]?$/i, "")
        .toLowerCase(),
    );
  return addresses.includes(address);
}

function recoveryMessage({ domain: name, email: to, token }: Recovery): SystemMessage {
  const asked = `Somebody asked for the token of the DMARC record of ${name}.`;
  const use = "This is a new one. The old one ends when this is used first:";
  const otherwise = "If it was not you, do nothing: the old token stays as it is.";
  return {
    to,
    subject: `The token of the DMARC record of ${name}`,
    text: `${[asked, use, token, otherwise].join("\n\n")}\n`,
    // A domain has only letters, digits, hyphens and dots.
    html: `<p>${asked}</p>\n<p>${use}</p>\n<p><code>${token}</code></p>\n<p>${otherwise}</p>\n`,
  };
}
