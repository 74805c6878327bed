/** Paths in any case, whose ids stay as they are. */
import { expect, it } from "vitest";
import { canonicalPath } from "../../src/api/path.ts";

it.each([
  ["/", "/"],
  ["/email", "/email"],
  ["/email/", "/email"],
  ["/EMAIL/Batch", "/email/batch"],
  ["/email/withTemplate", "/email/withtemplate"],
  ["/email/batchWithTemplates/", "/email/batchwithtemplates"],
  ["/email/bulk/AbC", "/email/bulk/AbC"],
  ["/deliveryStats/", "/deliverystats"],
  ["/triggers/inboundRules/", "/triggers/inboundrules"],
  ["/stats/outbound/opens/emailClients", "/stats/outbound/opens/emailclients"],
  ["/stats/outbound/clicks/browserFamilies", "/stats/outbound/clicks/browserfamilies"],
  ["/Messages/Outbound/AbC-1/Details", "/messages/outbound/AbC-1/details"],
  ["/messages/outbound/AbC-1/Timeline", "/messages/outbound/AbC-1/timeline"],
  ["/domains/1/verifyDKIM", "/domains/1/verifydkim"],
  ["/domains/1/verifyReturnPath", "/domains/1/verifyreturnpath"],
  ["/senders/1/requestNewDkim", "/senders/1/requestnewdkim"],
  ["/templates/My-Alias", "/templates/My-Alias"],
  ["/Templates/Details", "/templates/Details"],
  ["/templates/Push", "/templates/push"],
  ["/message-streams/MyStream/Suppressions/Dump", "/message-streams/MyStream/suppressions/dump"],
  ["/data-removals/7", "/data-removals/7"],
  ["/Unknown/Path/", "/Unknown/Path"],
])("%s", (path, expected) => {
  expect(canonicalPath(path)).toBe(expected);
});
