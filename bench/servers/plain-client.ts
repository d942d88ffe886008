import { createUpstream } from './upstream.ts';
import { listenOn, serve } from './serve.ts';

/**
 * What a program does that needs no server of ours: asks the upstream for pages, `lanes` at a time, and reads the JSON.
 * `GET /?ms=…&lanes=…` does so for that long and answers how many records came.
 */
serve(async (setup) => {
  const fetchPage = createUpstream(setup);
  let question = 0;

  const keepAsking = async (until: number): Promise<number> => {
    let records = 0;
    while (performance.now() < until) records += (await fetchPage(String((question += 1)))).length;
    return records;
  };

  const url = await listenOn((request, response) => {
    const asked = new URL(request.url ?? '/', 'http://localhost').searchParams;
    const startedAt = performance.now();
    const until = startedAt + Number(asked.get('ms'));
    Promise.all(Array.from({ length: Number(asked.get('lanes')) }, () => keepAsking(until))).then(
      (counts) => {
        const records = counts.reduce((sum, count) => sum + count, 0);
        response.end(JSON.stringify({ records, tookMs: performance.now() - startedAt }));
      },
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  return { url, headers: {} };
});
