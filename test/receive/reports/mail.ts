/** Messages with reports in them, packed and wrapped as senders do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, strToU8, zipSync } from "fflate";

const CORPUS = join(import.meta.dirname, "../../corpus/reports");

export type Packing = "zip" | "gzip" | "plain";

export function corpus(file: string): Uint8Array {
  return new Uint8Array(readFileSync(join(CORPUS, file)));
}

export function pack(document: Uint8Array, packing: Packing, name = "report.xml"): Uint8Array {
  if (packing === "zip") return zipSync({ [name]: document });
  return packing === "gzip" ? gzipSync(document) : document;
}

/** `root` is Google's way: the message is its attachment, and has no parts. */
export function mailWith(
  attachment: Uint8Array,
  { type = "application/octet-stream", root = false } = {},
): Uint8Array {
  const base64 = Buffer.from(attachment).toString("base64").replace(/.{76}/g, "$&\r\n");
  const part = [
    `Content-Type: ${type}; name="reporter.example!shop.example!1771200000!1771286399.bin"`,
    'Content-Disposition: attachment; filename="reporter.example!shop.example!1771200000!1771286399.bin"',
    "Content-Transfer-Encoding: base64",
    "",
    base64,
  ];
  const head = [
    "From: reports@reporter.example",
    "To: re@dmarc.mail.example.com",
    "Subject: Report Domain: shop.example Submitter: reporter.example Report-ID: <1>",
    "Message-ID: <1@reporter.example>",
    "MIME-Version: 1.0",
  ];
  const whole = root
    ? [...head, ...part]
    : [
        ...head,
        'Content-Type: multipart/mixed; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "This is an aggregate report.",
        "--b",
        ...part,
        "--b--",
      ];
  return strToU8(`${whole.join("\r\n")}\r\n`);
}

/** An aggregate report of this many records. */
export function reportOf(records: number, { id = "many", domain = "shop.example" } = {}): string {
  const record = (n: number) =>
    `<record><row><source_ip>10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}</source_ip><count>${n + 1}</count><policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>${domain}</header_from></identifiers><auth_results><spf><domain>s${n}.example</domain><result>fail</result></spf></auth_results></record>`;
  return `<?xml version="1.0"?><feedback><report_metadata><org_name>Many</org_name><email>a@many.example</email><report_id>${id}</report_id><date_range><begin>1771200000</begin><end>1771286399</end></date_range></report_metadata><policy_published><domain>${domain}</domain><p>none</p></policy_published>${Array.from({ length: records }, (_, n) => record(n)).join("")}</feedback>`;
}
