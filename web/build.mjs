// Builds web/dist: what web.go embeds. `npm run build` once, `npm run watch` while changing the demo.
//
//   dist/index.html, favicon.svg   revalidated by browsers on every load
//   dist/ticker/index.html         the same, at /ticker/
//   dist/assets/app-HASH.js, …     named after their content, cached for good
//   dist/client/socket.io*.js      the official client as published, served at /socket.io/
import { context } from "esbuild";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");
const pages = ["index.html", "ticker/index.html"];
const official = join(here, "node_modules", "socket.io-client");

async function clean() {
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) {
    if (name !== ".gitkeep") await rm(join(dist, name), { recursive: true });
  }
}

async function copyClient() {
  const from = join(official, "dist");
  const to = join(dist, "client");
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    if (/^socket\.io.*\.js(\.map)?$/.test(name)) await cp(join(from, name), join(to, name));
  }
  const { version } = JSON.parse(await readFile(join(official, "package.json"), "utf8"));
  await writeFile(join(to, "version"), version);
}

// The page names its script and style by role; the hashed names come from esbuild.
const page = {
  name: "page",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length > 0) return;
      for (const name of pages) {
        let html = await readFile(join(here, "src", name), "utf8");
        for (const out of Object.keys(result.metafile.outputs)) {
          const hashed = basename(out).match(/^(app|style|ticker|ticker-style)-[A-Z0-9]+\.(js|css)$/);
          if (hashed) html = html.replace(`assets/${hashed[1]}.${hashed[2]}`, `assets/${hashed[0]}`);
        }
        await mkdir(dirname(join(dist, name)), { recursive: true });
        await writeFile(join(dist, name), html);
      }
      await cp(join(here, "src", "favicon.svg"), join(dist, "favicon.svg"));
    });
  },
};

await clean();
await copyClient();
const build = await context({
  absWorkingDir: here,
  entryPoints: { app: "src/main.js", style: "src/style.css", ticker: "src/ticker/main.js", "ticker-style": "src/ticker/style.css" },
  outdir: join(dist, "assets"),
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  sourcemap: "linked",
  sourcesContent: true,
  format: "esm",
  target: ["chrome109", "firefox109", "safari16"],
  legalComments: "inline",
  metafile: true,
  plugins: [page],
  logLevel: "info",
});
if (process.argv.includes("--watch")) {
  await build.watch();
} else {
  await build.rebuild();
  await build.dispose();
}
