import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { ensureDataFolder } from '../../src/local/data-folder.ts';
import { keptAdminApiKey, keptEncryptionKeys } from '../../src/local/keys.ts';

let folder: string;

beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'keys-')), 'data');
  await ensureDataFolder(folder);
});

afterEach(async () => {
  await rm(join(folder, '..'), { recursive: true, force: true });
});

test('keys are made once, differ between folders, and are readable for the owner alone', async () => {
  const keys = await keptEncryptionKeys(folder);
  const adminKey = await keptAdminApiKey(folder);
  expect(await keptEncryptionKeys(folder)).toEqual(keys);
  expect(await keptAdminApiKey(folder)).toBe(adminKey);
  expect(keys).toHaveLength(1);
  expect(keys[0]?.key).toHaveLength(32);
  expect(adminKey).toMatch(/^ock_[A-Za-z0-9_-]{43}$/);
  for (const name of ['encryption-keys', 'admin-api-key']) {
    expect((await stat(join(folder, 'keys', name))).mode & 0o777).toBe(0o600);
  }
});

test('the stored forms may be carried into production as they are', async () => {
  await keptEncryptionKeys(folder);
  await keptAdminApiKey(folder);
  const config = readConfig({
    ENCRYPTION_KEYS: (await readFile(join(folder, 'keys', 'encryption-keys'), 'utf8')).trim(),
    ADMIN_API_KEY: (await readFile(join(folder, 'keys', 'admin-api-key'), 'utf8')).trim(),
  });
  expect(config.encryptionKeys).toEqual(await keptEncryptionKeys(folder));
});

test.each([
  ['empty', ''],
  ['damaged', 'local:abc'],
])('a key file that is %s is named, not replaced: its data would be lost', async (_, content) => {
  const file = join(folder, 'keys', 'encryption-keys');
  await writeFile(file, content);
  await expect(keptEncryptionKeys(folder)).rejects.toThrow(file);
  expect(await readFile(file, 'utf8')).toBe(content);
});
