/** A letter made from a template: Postmark's own client makes a layout and a template, sends with them, and the mail is in the mailbox. */
import PostalMime from "postal-mime";
import { Models, ServerClient } from "postmark";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { System } from "./system.ts";

let system: System;
let client: ServerClient;
beforeAll(async () => {
  system = await System.start();
  const { serverToken, http } = system.local;
  client = new ServerClient(serverToken, { requestHost: http.replace("http://", ""), useHttps: false });
}, 100_000);
afterAll(() => system.remove());

const From = "sender@example.com";

async function makeInvoice(): Promise<Models.TemplateInList> {
  await client.createTemplate({
    Name: "Frame",
    Alias: "frame",
    TemplateType: Models.TemplateTypes.Layout,
    HtmlBody:
      "<html><head><style>td { padding: 4px }</style></head><body><h1>{{company}}</h1>{{{ @content }}}</body></html>",
    TextBody: "{{company}}\n\n{{{ @content }}}",
  });
  return client.createTemplate({
    Name: "Invoice",
    Alias: "invoice",
    LayoutTemplate: "frame",
    Subject: "Invoice {{number}}",
    HtmlBody: "<table>{{#each lines}}<tr><td>{{what}}</td><td>{{price}}</td></tr>{{/each}}</table>",
    TextBody: "{{#each lines}}{{what}}: {{price}}\n{{/each}}",
  });
}

describe("the official client", () => {
  it("makes a layout and a template, sends with it, and the letter arrives filled and styled", async () => {
    const template = await makeInvoice();
    const TemplateModel = {
      company: "Ünal & Sons",
      number: 17,
      lines: [
        { what: "Tea", price: 2.5 },
        { what: "<Cake>", price: 4 },
      ],
    };
    const sent = await client.sendEmailWithTemplate({
      From,
      To: "one@letters.example",
      TemplateId: template.TemplateId,
      TemplateModel,
    });
    expect(sent).toMatchObject({ ErrorCode: 0, Message: "OK" });
    const mail = await PostalMime.parse((await system.arrives("one@letters.example")).raw);
    expect(mail.subject).toBe("Invoice 17");
    expect(mail.text?.replaceAll("\r\n", "\n").trim()).toBe("Ünal & Sons\n\nTea: 2.5\n<Cake>: 4");
    expect(mail.html).toMatch(/<h1>&#220;nal &amp; Sons<\/h1>/);
    expect(mail.html).toMatch(/<td style="padding: 4px;?">&lt;Cake&gt;<\/td>/);
  });

  it("sends a batch by alias, in which one message names an unknown template", async () => {
    const message = (To: string, TemplateAlias: string) => ({
      From,
      To,
      TemplateAlias,
      TemplateModel: { number: To },
    });
    const answers = await client.sendEmailBatchWithTemplates([
      message("a@letters.example", "invoice"),
      message("b@letters.example", "unknown"),
      message("c@letters.example", "invoice"),
    ]);
    expect(answers.map((one) => one.ErrorCode)).toEqual([0, 1101, 0]);
    for (const to of ["a@letters.example", "c@letters.example"]) {
      const mail = await PostalMime.parse((await system.arrives(to)).raw);
      expect(mail.subject).toBe(`Invoice ${to}`);
    }
    expect(await system.inbox({ to: "b@letters.example" })).toEqual([]);
  });

  it("changes a template, and the next letter is the new one", async () => {
    await client.editTemplate("invoice", { Subject: "Bill {{number}}" });
    await client.sendEmailWithTemplate({
      From,
      To: "new@letters.example",
      TemplateAlias: "invoice",
      TemplateModel: { number: 1 },
    });
    const mail = await PostalMime.parse((await system.arrives("new@letters.example")).raw);
    expect(mail.subject).toBe("Bill 1");
  });

  it("validates, lists and deletes", async () => {
    const validated = await client.validateTemplate({
      Subject: "{{a}}",
      HtmlBody: "<b>{{b}}</b>",
      TextBody: "{{#c}}",
      TestRenderModel: { a: 1 },
    });
    expect(validated.AllContentIsValid).toBe(false);
    expect(validated.Subject).toMatchObject({ ContentIsValid: true, RenderedContent: "1" });
    expect(validated.TextBody.ValidationErrors).toMatchObject([{ Line: 1, CharacterPosition: 1 }]);
    expect((await client.getTemplates()).Templates.map((one) => one.Alias)).toEqual(["frame", "invoice"]);
    await expect(client.deleteTemplate("frame")).rejects.toMatchObject({ code: 1130 });
    await client.deleteTemplate("invoice");
    await client.deleteTemplate("frame");
    await expect(
      client.sendEmailWithTemplate({
        From,
        To: "x@letters.example",
        TemplateAlias: "invoice",
        TemplateModel: {},
      }),
    ).rejects.toMatchObject({ code: 1101, statusCode: 422 });
  });
});
