import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Serves the page and the libraries that it loads, which come from node_modules: it needs no build, and nobody else. */
const here = new URL('./', import.meta.url);
const modules = new URL('../../node_modules/', import.meta.url);
const loaded = /^\/modules\/((?:@urql\/core|@0no-co\/graphql\.web|graphql-ws|wonka)\/dist\/[\w.-]+\.m?js)$/;
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
};

function fileOf(path: string): URL | null {
  if (path === '/') return new URL('index.html', here);
  if (path === '/live-list.js') return new URL('live-list.js', here);
  const [, library] = loaded.exec(path) ?? [];
  return library === undefined ? null : new URL(library, modules);
}

const server = createServer((request, response) => {
  const file = fileOf(new URL(request.url ?? '/', 'http://localhost').pathname);
  const content = file ? readFile(file) : Promise.reject(new Error('There is no such file.'));
  content.then(
    (bytes) =>
      response
        .writeHead(200, { 'content-type': types[extname(fileURLToPath(file ?? here))] ?? 'text/plain' })
        .end(bytes),
    () => response.writeHead(404).end(),
  );
});

server.listen(Number(process.env.PORT ?? 4100), 'localhost', () => {
  console.log(`http://localhost:${(server.address() as AddressInfo).port}`);
});
