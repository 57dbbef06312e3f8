// A hub with one repository, o/r, whose one model is sent slowly, and `happy serve --downloads` that downloads from it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const COMMIT = "00112233445566778899aabbccddeeff00112233";

export async function downloadingServer(happy, file, folder) {
  const size = statSync(file).size;
  let pause = 100;
  const hub = createServer(async (request, response) => {
    const path = request.url.split("?")[0];
    if (path.startsWith("/api/models/o/r/revision/"))
      return response.end(JSON.stringify({ sha: COMMIT, tags: ["license:apache-2.0"], siblings: [{ rfilename: "model.gguf", size }] }));
    if (!/^\/o\/r\/resolve\/[^/]+\/model\.gguf$/.test(path)) return response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [from, to] = range ? [Number(range[1]), Math.min(Number(range[2]), size - 1)] : [0, size - 1];
    response.writeHead(range ? 206 : 200, {
      ETag: '"model"',
      "X-Repo-Commit": COMMIT,
      "Content-Length": to - from + 1,
      ...(range && { "Content-Range": `bytes ${from}-${to}/${size}` }),
    });
    if (request.method === "HEAD") return response.end();
    for await (const piece of createReadStream(file, { start: from, end: to, highWaterMark: 1 << 20 })) {
      if (response.destroyed) return;
      if (!response.write(piece)) await Promise.race([once(response, "drain"), once(response, "close")]);
      if (pause) await new Promise((done) => setTimeout(done, pause));
    }
    response.end();
  });
  hub.listen(0, "127.0.0.1");
  await once(hub, "listening");
  const env = { ...process.env, HF_ENDPOINT: `http://127.0.0.1:${hub.address().port}`, HF_HUB_CACHE: folder, XDG_CONFIG_HOME: folder };
  const child = spawn(happy, ["serve", "--downloads", "--port", "0", "--ctx", "1024", "--slots", "2"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(child.stdout), "line");
  return {
    url: line.replace("listening on ", ""),
    hurry: () => (pause = 0),
    async stop() {
      child.kill("SIGINT");
      await once(child, "exit");
      hub.closeAllConnections();
      hub.close();
    },
  };
}
