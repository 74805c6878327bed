/** For `npm run migrations`: the archive's schema as SQL. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({ dialect: "sqlite", schema: "./src/schema/archive.ts", out: "./migrations/archive" });
