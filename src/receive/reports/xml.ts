/**
 * An XML document as it streams in: the element of each report's record is handed over when it closes, and forgotten, so that memory
 * does not grow with their number. It forgives what mail providers get wrong, and it knows no entities but XML's own five and numbers:
 * a document type is refused.
 */
import { Parser } from "htmlparser2";
import { Unreadable } from "./unreadable.ts";

/** Reports have five; extensions may have more. */
const MAX_DEPTH = 24;
/** Of what is held at a time: one record, and what stands before the first. A record with 50 signatures has 300. */
const MAX_HELD_ELEMENTS = 4_000;
/** Of one element, without its children; comments of policies are the longest, and some quote whole headers. */
const MAX_TEXT_CHARACTERS = 4_096;

export interface Element {
  /** Lower case, without a namespace's prefix. */
  name: string;
  text: string;
  children: Element[];
}

export interface XmlReader {
  write(text: string): void;
  /** The root, without what was handed over. */
  end(): Element;
}

/** `take` gets each child of the root that has this name. All throw Unreadable. */
export function xmlReader(name: string, take: (element: Element) => void): XmlReader {
  const document: Element = { name: "", text: "", children: [] };
  const open: Element[] = [document];
  let held = 0;
  let isWhole = false;
  const parser = new Parser(
    {
      onopentagname(tag) {
        if (open.length > MAX_DEPTH) throw new Unreadable("XML that is nested too deep");
        if (++held > MAX_HELD_ELEMENTS) throw new Unreadable("XML with too many elements in one");
        const element = { name: local(tag), text: "", children: [] };
        open.at(-1)?.children.push(element);
        open.push(element);
      },
      ontext(text) {
        const element = open.at(-1);
        if (element && element.text.length < MAX_TEXT_CHARACTERS)
          element.text = (element.text + text).slice(0, MAX_TEXT_CHARACTERS);
      },
      onclosetag(_tag, isImplied) {
        const element = open.pop();
        if (open.length === 1 && !isImplied) isWhole = true;
        if (open.length !== 2 || element?.name !== name) return;
        const root = open[1];
        root?.children.pop();
        held = root?.children.length ?? 0;
        // What the end of the document closes may lack its half.
        if (!isImplied) take(element);
      },
      onprocessinginstruction(instruction) {
        if (instruction.toLowerCase().startsWith("!"))
          throw new Unreadable("XML with a document type, which could define entities");
      },
    },
    { xmlMode: true, decodeEntities: true },
  );
  return {
    write: (text) => parser.write(text),
    end() {
      parser.end();
      const [root] = document.children;
      if (!root) throw new Unreadable("it holds no XML element");
      if (!isWhole) throw new Unreadable("XML that is cut off");
      return root;
    },
  };
}

export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.find((c) => c.name === name);
}

export function childrenOf(element: Element | undefined, name: string): Element[] {
  return element?.children.filter((c) => c.name === name) ?? [];
}

/** Of a child, on one line; "" when there is none. */
export function textOf(element: Element | undefined, name: string, maxCharacters = 255): string {
  const text = child(element, name)?.text ?? "";
  return text.replace(/\s+/g, " ").trim().slice(0, maxCharacters);
}

function local(tag: string): string {
  return tag.slice(tag.indexOf(":") + 1).toLowerCase();
}
