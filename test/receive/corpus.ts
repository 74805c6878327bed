/** The corpus of mail that comes back, and what its indexes say of it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const CORPUS = resolve(import.meta.dirname, "../corpus");
/** The message that all of them are about. */
export const MESSAGE_ID = "019360aa-1c00-8123-8410-5af03c9d7e21";

export interface Expected {
  /** After what it was made. */
  origin: string;
  kind: string;
  /** The envelope's, where it is not null. */
  reversePath?: string;
  by?: string;
  recipients?: unknown[];
  newAddress?: string;
  feedbackType?: string;
}

/** By folder and file: of the folders that hold mail for return paths and complaint addresses. */
const FOLDERS = ["auto-replies", "complaints", "dsn", "others"];

export const REPORTS: Record<string, Record<string, Expected>> = Object.fromEntries(
  readdirSync(CORPUS)
    .filter((folder) => FOLDERS.includes(folder) && existsSync(join(CORPUS, folder, "index.json")))
    .map((folder) => [folder, JSON.parse(readFileSync(join(CORPUS, folder, "index.json"), "utf8"))]),
);
