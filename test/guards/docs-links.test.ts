import { expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);

/** Every Markdown file of the project. */
function markdownFiles(folder: URL): URL[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === 'node_modules' || entry.name.startsWith('.')) return [];
    if (entry.isDirectory()) return markdownFiles(new URL(`${entry.name}/`, folder));
    return entry.name.endsWith('.md') ? [new URL(entry.name, folder)] : [];
  });
}

const withoutCode = (text: string) =>
  text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, 'code');

/** The anchors that a Markdown file offers, as GitHub makes them from its headings. */
function anchorsOf(file: URL): string[] {
  const text = readFileSync(file, 'utf8').replace(/^(```|~~~)[\s\S]*?^\1/gm, '');
  return [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function faultOf(link: string, file: URL): string | null {
  const target = new URL(link, file);
  const anchor = decodeURIComponent(target.hash.slice(1));
  target.hash = '';
  if (!existsSync(target)) return 'there is no such file';
  if (anchor !== '' && target.pathname.endsWith('.md') && !anchorsOf(target).includes(anchor))
    return 'the file has no such heading';
  return null;
}

test('every relative link of every Markdown file leads to a file, and to a heading if it names one', () => {
  const links = markdownFiles(root).flatMap((file) =>
    [...withoutCode(readFileSync(file, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => ({ file, link }))
      .filter(({ link }) => !/^[a-z][a-z0-9+.-]*:/i.test(link)),
  );
  expect(links.length).toBeGreaterThan(30);
  const broken = links
    .map(({ file, link }) => ({ from: fileURLToPath(file), link, fault: faultOf(link, file) }))
    .filter(({ fault }) => fault !== null);
  expect(broken).toEqual([]);
});
