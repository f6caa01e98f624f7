import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const codec = fileURLToPath(new URL("src/absent/codec.ts", import.meta.url));

export default defineConfig({
  base: "./",
  resolve: { alias: Object.fromEntries(["blosc", "lz4", "zstd"].map((name) => [`numcodecs/${name}`, codec])) },
  build: {
    outDir: "../src/bedside/serve/page",
    emptyOutDir: true,
    target: "es2022",
    // NiiVue is one chunk, loaded after the first picture is on the screen.
    chunkSizeWarningLimit: 1000,
  },
});
