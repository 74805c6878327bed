/** The readers in workerd, for reader.test.ts. */
import { readerOf } from "../../src/track/reader.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    const agents = (await request.json()) as string[];
    const place = { country: "US", region: "Texas" };
    return Response.json(agents.map((userAgent) => readerOf("opened", { userAgent, place })));
  },
};
