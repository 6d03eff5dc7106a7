import { defineConfig } from "vite";

// The page's Content-Security-Policy allows nothing but its own files: no inline script or style, no data URLs.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
