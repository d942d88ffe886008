import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { SecretCipher, type SecretPlace } from '../../src/encryption/secret-cipher.ts';

const [older, newer] = ['2026a', '2026b'].map((id) => ({ id, key: randomBytes(32) })) as [
  { id: string; key: Buffer },
  { id: string; key: Buffer },
];
const cipher = new SecretCipher([newer, older]);

const unreadable = expect.objectContaining({ code: 'SECRET_UNREADABLE' });
const places = fc.record({ table: fc.string(), column: fc.string(), row: fc.string() });
const secrets = fc.string({ unit: 'binary' });

/** What opening throws, if it throws. */
function failure(open: () => string): unknown {
  try {
    return `opened: ${open()}`;
  } catch (error) {
    return error;
  }
}

test('any secret comes back from its place, and no two envelopes of it are alike', () => {
  fc.assert(
    fc.property(secrets, places, (secret, place) => {
      const envelope = cipher.seal(secret, place);
      expect(envelope).toMatch(/^v1\.2026b\./);
      expect(cipher.seal(secret, place)).not.toBe(envelope);
      expect(cipher.open(envelope, place)).toBe(secret);
    }),
  );
});

test('an envelope with any bit changed is refused', () => {
  fc.assert(
    fc.property(secrets, places, fc.nat(), fc.integer({ min: 0, max: 7 }), (secret, place, at, bit) => {
      const bytes = Buffer.from(cipher.seal(secret, place));
      const index = at % bytes.length;
      bytes[index] = bytes[index]! ^ (1 << bit);
      expect(failure(() => cipher.open(bytes.toString('latin1'), place))).toEqual(unreadable);
    }),
    { numRuns: 1_000 },
  );
});

test('every single bit of one envelope counts', () => {
  const place = { table: 'webhooks', column: 'mac_secret_envelope', row: '1' };
  // Lengths for which base64 has bits to spare at its end.
  for (const secret of ['a', 'ab', 'abc']) {
    const envelope = Buffer.from(cipher.seal(secret, place));
    for (let bit = 0; bit < envelope.length * 8; bit += 1) {
      const changed = Buffer.from(envelope);
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
      expect(failure(() => cipher.open(changed.toString('latin1'), place))).toEqual(unreadable);
    }
  }
});

test('an envelope at any other place is refused', () => {
  fc.assert(
    fc.property(secrets, places, places, (secret, place, other) => {
      fc.pre(JSON.stringify(Object.values(place)) !== JSON.stringify(Object.values(other)));
      const envelope = cipher.seal(secret, place);
      expect(failure(() => cipher.open(envelope, other))).toEqual(unreadable);
    }),
  );
  const place: SecretPlace = { table: 'connection_secrets', column: 'access_token', row: '7' };
  const envelope = cipher.seal('secret', place);
  for (const other of [{ table: 'webhooks' }, { column: 'refresh_token' }, { row: '8' }])
    expect(failure(() => cipher.open(envelope, { ...place, ...other }))).toEqual(unreadable);
});

describe('keys', () => {
  const place = { table: 'connection_secrets', column: 'client_secret', row: '7' };
  const sealedByOlder = new SecretCipher([older]).seal('secret', place);

  test('every key of the ring opens, the first one seals', () => {
    expect(cipher.open(sealedByOlder, place)).toBe('secret');
    expect(cipher.seal('secret', place)).toMatch(/^v1\.2026b\./);
  });

  test('a key that left the ring is named, and so is the place', () => {
    expect(failure(() => new SecretCipher([newer]).open(sealedByOlder, place))).toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringMatching(
        /connection_secrets\.client_secret, row 7.*key "2026a" is not in ENCRYPTION_KEYS/,
      ),
    });
  });

  test('another key of the same id opens nothing, and neither does the id of another key', () => {
    const impostor = new SecretCipher([{ id: older.id, key: randomBytes(32) }]);
    expect(failure(() => impostor.open(sealedByOlder, place))).toEqual(unreadable);
    expect(failure(() => cipher.open(sealedByOlder.replace('2026a', '2026b'), place))).toEqual(unreadable);
  });

  test.each([
    '',
    'v1',
    'v1...',
    'v2.2026b.AAAA.AAAA',
    'v1.2026b.AAAA.AAAA',
    'v1.2026b..AAAA',
    'v1.__proto__.AAAA.AAAA',
    'pat.secret-in-the-open.0123456789',
  ])('what is no envelope is refused without being quoted: %j', (text) => {
    const error = failure(() => cipher.open(text, place));
    expect(error).toEqual(unreadable);
    expect(String(error)).not.toContain('secret-in-the-open');
  });

  test('an envelope with something behind it is refused', () => {
    for (const tail of ['.', '.AAAA', '=', '\n', ' '])
      expect(failure(() => cipher.open(sealedByOlder + tail, place))).toEqual(unreadable);
  });
});
