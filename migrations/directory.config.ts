/** For `npm run migrations`: the directory's schema as SQL. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({ dialect: "sqlite", schema: "./src/schema/directory.ts", out: "./migrations/directory" });
