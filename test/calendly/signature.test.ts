import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { verifyMac } from '../../src/calendly/signature.ts';

const secret = Buffer.from('c2VjcmV0LWtleQ==', 'base64');
const spaced =
  '{"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, "timestamp": "2022-02-01T21:25:05.663Z"}';
const compact = JSON.stringify(JSON.parse(spaced));
const spacedMac = 'hmac-sha256=e26da696a90933647bddc83995c3e1e3bb1c3d8ce1ff61cb7469767d50b2b2d4';
const compactMac = 'hmac-sha256=6486781ffbbd5e9ed3bd9137d539ab9dceec8dba7c65c6cbf3c8c3ceefbf8802';

describe('the MAC of a ping', () => {
  test.each([
    ['the published vector', spaced, spacedMac, true],
    ['the same body without spaces', compact, compactMac, true],
    ['the MAC of other bytes that parse to the same', compact, spacedMac, false],
    ['no header', compact, undefined, false],
    ['an empty header', compact, '', false],
    ['the bare hex', compact, compactMac.slice('hmac-sha256='.length), false],
    ['a shortened MAC', compact, compactMac.slice(0, -1), false],
    ['a second MAC behind the first', compact, `${compactMac},${compactMac}`, false],
    ['a multi-byte character in the MAC', compact, `${compactMac.slice(0, -1)}é`, false],
  ])('%s', (_, body, header, valid) => {
    expect(verifyMac(Buffer.from(body), header, secret)).toBe(valid);
  });

  test('an empty secret verifies nothing, and another secret nothing of ours', () => {
    expect(verifyMac(Buffer.from(compact), compactMac, Buffer.alloc(0))).toBe(false);
    expect(verifyMac(Buffer.from(compact), compactMac, Buffer.from('secret-kez'))).toBe(false);
  });

  test('a body with any bit flipped is refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: compact.length * 8 - 1 }), (bit) => {
        const body = Buffer.from(compact);
        body.writeUInt8(body.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        expect(verifyMac(body, compactMac, secret)).toBe(false);
      }),
    );
  });
});
