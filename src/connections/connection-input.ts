import { z } from 'zod';

/** Longest name in characters as people count them, so that an emoji is one. */
export const maxNameLength = 100;
const maxCredentialLength = 500;

const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const lengthOf = (text: string) => [...characters.segment(text)].length;

const nameMissing = 'Connection name must be at least 1 character';
const clientIdMissing = 'Client ID must be at least 1 character';
const clientSecretMissing = 'Client secret is required and cannot be empty';

export const connectionType = z.literal('calendly', { error: "Type must be exactly 'calendly'" });

export const connectionId = z
  .number({ error: 'ID must be a positive integer' })
  .int('ID must be a positive integer')
  .min(1, 'ID must be a positive integer')
  .max(2_147_483_647, 'ID must be a positive integer');

export const connectionName = z
  .string({ error: nameMissing })
  .refine((name) => name.trim() !== '', nameMissing)
  .refine(
    (name) => name.length <= maxNameLength * 16 && lengthOf(name) <= maxNameLength,
    `Connection name must not exceed ${maxNameLength} characters`,
  )
  .refine((name) => !name.includes('\0'), 'Connection name must not contain a NUL character')
  // PostgreSQL stores no halves of characters.
  .refine((name) => !/\p{Surrogate}/u.test(name), 'Connection name must consist of whole characters');

/** The characters that OAuth allows in client credentials (RFC 6749, appendix A). */
const printable = (text: string) => /^[\x20-\x7e]*$/.test(text);

export const clientId = z
  .string({ error: clientIdMissing })
  .refine((id) => id.trim() !== '', clientIdMissing)
  .refine(
    (id) => id.length <= maxCredentialLength,
    `Client ID must not exceed ${maxCredentialLength} characters`,
  )
  .refine(
    (id) => printable(id) && !id.includes(':'),
    'Client ID must consist of printable ASCII characters, without a colon',
  );

export const clientSecret = z
  .string({ error: clientSecretMissing })
  .refine((secret) => secret.trim() !== '', clientSecretMissing)
  .refine(
    (secret) => secret.length <= maxCredentialLength,
    `Client secret must not exceed ${maxCredentialLength} characters`,
  )
  .refine(printable, 'Client secret must consist of printable ASCII characters');

/** What is shown of a client secret. Written back, it keeps the stored one. */
export const maskedSecret = '***';

/** The one description of a connection's required properties, for the API and for configuration files. */
export const newConnection = z.object({
  type: connectionType,
  name: connectionName,
  clientId,
  clientSecret: clientSecret.refine((secret) => secret !== maskedSecret, clientSecretMissing),
});

export type NewConnection = z.infer<typeof newConnection>;

/** What may be changed of a connection; what is left out stays as it is. */
export const connectionUpdate = z.object({
  type: z
    .literal('calendly', { error: 'Connection type cannot be changed. Create a new connection instead.' })
    .nullish(),
  name: connectionName.nullish(),
  clientId: clientId.nullish(),
  clientSecret: clientSecret.nullish(),
});
