/** Templates as they are stored: what holds when two write at once; and as an isolate keeps them: how much, and how long. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { StoredTemplateCache } from "../../src/accounts/template-cache.ts";
import { planPush, pushTemplates } from "../../src/accounts/template-push.ts";
import {
  createTemplate,
  deleteTemplate,
  editTemplate,
  findTemplate,
  loadTemplate,
  type StoredTemplate,
  type Template,
  type TemplateFields,
  type TemplateRef,
} from "../../src/accounts/templates.ts";
import { renderMessage } from "../../src/template/message.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
afterAll(() => db.dispose());
beforeEach(() => db.clear());

const FIELDS: TemplateFields = {
  alias: null,
  name: "A",
  type: "Standard",
  subject: "s",
  htmlBody: null,
  textBody: "t",
  layout: null,
};
const FRAME: TemplateFields = {
  ...FIELDS,
  alias: "frame",
  type: "Layout",
  subject: null,
  textBody: "-{{{@content}}}-",
};

async function create(fields: Partial<TemplateFields>, serverId = 1): Promise<Template> {
  const made = await createTemplate(db.directory, serverId, { ...FIELDS, ...fields }, NOON);
  if (!("ok" in made)) throw new Error(made.refused);
  return (await findTemplate(db.directory, serverId, { id: made.ok.id })) as Template;
}

describe("two who write at once", () => {
  it("cannot both have an alias", async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => createTemplate(db.directory, 1, { ...FIELDS, alias: "one" }, NOON)),
    );
    expect(answers.filter((a) => "ok" in a)).toHaveLength(1);
    expect(answers.filter((a) => "refused" in a && a.refused === "alias taken")).toHaveLength(4);
  });

  it("cannot change a template that the other has changed since it was read", async () => {
    const old = await create({});
    const first = await editTemplate(db.directory, old, { ...FIELDS, subject: "first" }, NOON);
    const second = await editTemplate(db.directory, old, { ...FIELDS, subject: "second" }, NOON);
    expect([first, second]).toMatchObject([{ ok: { id: old.id } }, { refused: "changed meanwhile" }]);
    expect(await findTemplate(db.directory, 1, { id: old.id })).toMatchObject({ subject: "first" });
  });

  it("cannot delete a layout and use it", async () => {
    const frame = await create(FRAME);
    const [gone, made] = await Promise.all([
      deleteTemplate(db.directory, 1, frame.id, NOON),
      createTemplate(db.directory, 1, { ...FIELDS, layout: "frame" }, NOON),
    ]);
    expect([gone, made]).toSatisfy(
      () => (gone === "deleted") === ("refused" in made && made.refused === "no such layout"),
    );
  });

  it("find that what was deleted is gone", async () => {
    const old = await create({});
    expect(await deleteTemplate(db.directory, 1, old.id, NOON)).toBe("deleted");
    expect(await deleteTemplate(db.directory, 1, old.id, NOON)).toBe("gone");
    expect(await editTemplate(db.directory, old, FIELDS, NOON)).toEqual({ refused: "gone" });
  });
});

it("an edit that is not written leaves the layout's users as they were", async () => {
  const frame = await create(FRAME);
  await create({ alias: "taken" });
  const user = await create({ layout: "frame" });
  expect(await editTemplate(db.directory, frame, { ...FRAME, alias: "taken" }, NOON)).toEqual({
    refused: "alias taken",
  });
  expect(await findTemplate(db.directory, 1, { id: user.id })).toMatchObject({ layout: "frame" });
});

it("nothing of another server is read, changed or deleted", async () => {
  const ours = await create({ alias: "a" });
  expect(await findTemplate(db.directory, 2, { id: ours.id })).toBeUndefined();
  expect(await loadTemplate(db.directory, 2, { alias: "a" })).toBeUndefined();
  expect(await deleteTemplate(db.directory, 2, ours.id, NOON)).toBe("gone");
  expect(await editTemplate(db.directory, { ...ours, serverId: 2 }, FIELDS, NOON)).toEqual({
    refused: "gone",
  });
});

describe("what is loaded to be sent", () => {
  it("is a template with its layout, and no layout alone", async () => {
    const frame = await create(FRAME);
    const user = await create({ alias: "user", layout: "frame" });
    for (const ref of [{ id: user.id }, { alias: "user" }])
      expect(await loadTemplate(db.directory, 1, ref)).toEqual({ template: user, layout: frame });
    expect(await loadTemplate(db.directory, 1, { id: frame.id })).toBeUndefined();
  });
});

it("a push that does not fit any more what its dry run said is refused, and overwrites nothing", async () => {
  await create(FRAME, 1);
  await create({ alias: "a" }, 1);
  const push = { sourceId: 1, destinationId: 2 };
  expect(await planPush(db.directory, push)).toMatchObject({ ok: [{ alias: "frame" }, { alias: "a" }] });
  const late = await create({ alias: "frame", name: "late" }, 2);
  expect(await pushTemplates(db.directory, push, NOON)).toEqual({ refused: "other type", alias: "frame" });
  expect(await findTemplate(db.directory, 2, { alias: "frame" })).toEqual(late);
});

describe("the cache", () => {
  const stored = (id: number, textBody: string, updatedAt = 1): StoredTemplate => ({
    template: { ...FIELDS, id, serverId: 1, textBody, active: true, createdAt: 1, updatedAt },
    layout: undefined,
  });

  function cacheOf(load: (serverId: number, ref: TemplateRef) => StoredTemplate | undefined) {
    const made = { reads: 0, now: NOON };
    const cache = new StoredTemplateCache({
      async load(serverId, ref) {
        made.reads++;
        return load(serverId, ref);
      },
      now: () => made.now,
      log() {},
    });
    return Object.assign(made, { cache });
  }

  it("compiles nothing anew while the template is the same", async () => {
    const made = cacheOf(() => stored(1, "{{a}}"));
    const first = await made.cache.find(1, { id: 1 });
    made.now += 10_000;
    expect(await made.cache.find(1, { id: 1 })).toBe(first);
    expect(made.reads).toBe(2);
  });

  it("does not remember that there was none: a template can be used once it is made", async () => {
    let there: StoredTemplate | undefined;
    const made = cacheOf(() => there);
    expect(await made.cache.find(1, { alias: "a" })).toBeUndefined();
    there = stored(1, "x");
    expect(await made.cache.find(1, { alias: "a" })).toMatchObject({ ok: {} });
  });

  it("forgets one that was deleted, and another server's not", async () => {
    let there: StoredTemplate | undefined = stored(1, "x");
    const made = cacheOf(() => there);
    await made.cache.find(1, { id: 1 });
    await made.cache.find(12, { id: 1 });
    there = undefined;
    made.cache.forget(1);
    expect(await made.cache.find(1, { id: 1 })).toBeUndefined();
    expect(await made.cache.find(12, { id: 1 })).toBeDefined();
  });

  it("keeps nothing that was read before a change, when that was made meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<StoredTemplate>();
    const answers = [promise, Promise.resolve(stored(1, "new", 2))];
    const cache = new StoredTemplateCache({
      load: async () => answers.shift(),
      now: () => NOON,
      log() {},
    });
    const before = cache.find(1, { id: 1 });
    cache.forget(1);
    resolve(stored(1, "old"));
    await before;
    const found = await cache.find(1, { id: 1 });
    if (!found || !("ok" in found)) throw new Error("not found");
    expect(renderMessage(found.ok, {}, { inlineCss: true })).toMatchObject({ ok: { textBody: "new" } });
  });

  it("keeps the ones used last, and only so many bytes of them", async () => {
    const made = cacheOf((_server, ref) => stored("id" in ref ? ref.id : 0, "x".repeat(1_900_000)));
    for (const id of [1, 2, 3, 1, 4, 5]) await made.cache.find(1, { id });
    const reads = made.reads;
    await made.cache.find(1, { id: 1 });
    expect(made.reads).toBe(reads);
    await made.cache.find(1, { id: 2 });
    expect(made.reads).toBe(reads + 1);
  });

  it("gives what can be rendered", async () => {
    const made = cacheOf(() => stored(1, "Hi {{a}}"));
    const found = await made.cache.find(1, { id: 1 });
    if (!found || !("ok" in found)) throw new Error("not found");
    expect(renderMessage(found.ok, { a: 1 }, { inlineCss: true })).toEqual({
      ok: { subject: "s", htmlBody: "", textBody: "Hi 1" },
    });
  });

  it("says of one that does not compile where it is wrong", async () => {
    const made = cacheOf(() => stored(1, "{{#a}}"));
    expect(await made.cache.find(1, { id: 1 })).toMatchObject({ errors: [{ part: "textBody", line: 1 }] });
  });
});
