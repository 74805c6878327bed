/** What is wrong with a bulk request, by the path of each field: one problem is answered with its own code, several with code 11. */
import { type ApiError, apiError, errorResponse } from "./error.ts";
import { wrongFields } from "./json-body.ts";

/** Nobody reads more, and a request may have a million. */
const MAX_PROBLEMS = 100;
const SEVERAL = "Multiple errors occurred. Inspect the Errors property for more information.";

export class BulkProblems {
  readonly #errors = new Map<string, ApiError[]>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= MAX_PROBLEMS;
  }

  add(path: string, error: ApiError): void {
    if (this.isFull) return;
    this.#count++;
    const known = this.#errors.get(path);
    if (known) known.push(error);
    else this.#errors.set(path, [error]);
  }

  /** Fields of a wrong type; `prefix` is that of the object that they are fields of: "Messages[3].". */
  wrongFields(prefix: string, names: string[]): void {
    for (const name of names) this.add(prefix + name, wrongFields([name]));
  }

  response(): Response {
    const [first] = this.#errors.values();
    if (this.#count === 1 && first?.[0]) return errorResponse(first[0]);
    const errors = [...this.#errors].map(([path, list]) => [
      path,
      list.map(({ code, message }) => ({ ErrorCode: code, Message: message })),
    ]);
    return errorResponse(apiError(11, SEVERAL), { Errors: Object.fromEntries(errors) });
  }
}
