/** Puts one message's links into its texts: each a signed one of its own (mail/tracking-link.ts). Nothing is stored for them. */
import { applyEdits, type Edit } from "../compose/edit.ts";
import { type FoundLink, findInHtml } from "../compose/track-html.ts";
import { findInText } from "../compose/track-text.ts";
import {
  htmlFooter,
  LIST_UNSUBSCRIBE_POST,
  listUnsubscribe,
  type Placeholder,
  textFooter,
  unsubscribeLink,
} from "../compose/unsubscribe.ts";
import {
  clickPath,
  fillRecipient,
  type LinkLocation,
  openPath,
  unsubscribeAddress,
  unsubscribePath,
} from "../mail/tracking-link.ts";
import type { TrackedMessage, Tracker, Wishes } from "./tracking.ts";

export async function makeTracker(key: CryptoKey, message: TrackedMessage, wishes: Wishes): Promise<Tracker> {
  const { baseUrl, mailHost } = message;
  const recipient = message.blank || (await fillRecipient(key, message.messageId, 0));
  const asksForHtml = wishes.links === "HtmlAndText" || wishes.links === "HtmlOnly";
  const asksForText = wishes.links === "HtmlAndText" || wishes.links === "TextOnly";
  const wantsPlaceholders = wishes.unsubscribe !== "none";
  const url = wantsPlaceholders ? baseUrl + (await unsubscribePath(key, message, recipient)) : "";
  const address =
    wishes.unsubscribe === "add" ? await unsubscribeAddress(key, message, recipient, mailHost) : "";
  const picture = wishes.opens ? pictureOf(baseUrl + (await openPath(key, message, recipient))) : "";
  /** Those that an author does not want tracked, wherever they stand. */
  const untracked = new Set<string>();
  const links = new Set<string>();

  const linkEdits = async (found: FoundLink[], location: LinkLocation): Promise<Edit[]> => {
    const paths = new Map<string, Promise<string>>();
    const edits: Promise<Edit>[] = [];
    for (const { from, to, url: target } of found) {
      if (untracked.has(target) || leadsToUs(target, baseUrl)) continue;
      const path = paths.get(target) ?? clickPath(key, message, recipient, target, location);
      paths.set(target, path);
      links.add(target);
      edits.push(path.then((text) => ({ from, to, text: baseUrl + text })));
    }
    return Promise.all(edits);
  };

  return {
    links,
    listUnsubscribe: listUnsubscribe({ address, url }),
    listUnsubscribePost: LIST_UNSUBSCRIBE_POST,
    async html(html, isFirst) {
      const found = findInHtml(html, wantsPlaceholders);
      for (const target of found.untracked) untracked.add(target);
      const isFooterDue = isFirst && wishes.unsubscribe === "add" && found.placeholders.length === 0;
      const added = (isFooterDue ? htmlFooter(url) : "") + (isFirst ? picture : "");
      return applyEdits(html, [
        ...found.marks.map((mark) => ({ ...mark, text: "" })),
        ...(asksForHtml ? await linkEdits(found.links, "HTML") : []),
        ...found.placeholders.map((placeholder) => fill(placeholder, url)),
        ...(added === "" ? [] : [{ from: found.end, to: found.end, text: added }]),
      ]);
    },
    async text(text, isFirst) {
      const found = findInText(text, wantsPlaceholders);
      const changed = applyEdits(text, [
        ...(asksForText ? await linkEdits(found.links, "Text") : []),
        ...found.placeholders.map((placeholder) => fill(placeholder, url)),
      ]);
      const isFooterDue = isFirst && wishes.unsubscribe === "add" && found.placeholders.length === 0;
      return isFooterDue ? changed + textFooter(changed, url) : changed;
    },
  };
}

function fill({ from, to, isUrl }: Placeholder, url: string): Edit {
  return { from, to, text: isUrl ? url : unsubscribeLink(url) };
}

/** Of a message that was tracked before, and is sent on: its links and how it is unsubscribed from stay what they are. */
function leadsToUs(target: string, baseUrl: string): boolean {
  return target.startsWith(baseUrl) && /^\/[cou]\//.test(target.slice(baseUrl.length));
}

function pictureOf(url: string): string {
  return `<img src="${url}" width="1" height="1" border="0" alt="" style="height:1px;width:1px;border:0;margin:0;padding:0">`;
}
