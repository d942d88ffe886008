import { z } from 'zod';
import { isUpstreamId } from '../calendly/ids.ts';
import type { NewApiKey } from './api-keys.ts';
import { roles } from './caller.ts';

const maxNameLength = 100;

/** Connections, and bases, that a key may name. */
const maxReach = 100;

const nameMissing = 'Key name must be at least 1 character';
const roleUnknown = `Role must be one of ${roles.join(', ')}`;
const idNeeded = 'A connection is named by its number, a positive integer';
const baseIdNeeded = "A base is named by its id, which starts with 'app'";

/** One list of a key's reach. Leaving it out means everything, so an empty one is likely a mistake. */
const reach = <Item extends z.ZodType<number | string>>(what: string, item: Item) =>
  z
    .array(item, { error: `The ${what} of a key must be a list` })
    .min(1, `A key without ${what} is of no use: name at least one, or leave ${what} out for all of them`)
    .max(maxReach, `A key may name at most ${maxReach} ${what}`)
    .nullish()
    .transform((list) => (list ? [...new Set(list)] : null));

/** The one description of a key to be made, for the API and for the command line. */
export function newApiKey(now: number) {
  return z
    .object({
      name: z
        .string({ error: nameMissing })
        .refine((name) => name.trim() !== '', nameMissing)
        .refine(
          (name) => name.length <= maxNameLength,
          `Key name must not exceed ${maxNameLength} characters`,
        )
        .refine((name) => !/\p{Cc}/u.test(name), 'Key name must not contain control characters'),
      role: z.enum(roles, { error: roleUnknown }),
      connections: reach(
        'connections',
        z.number({ error: idNeeded }).int(idNeeded).min(1, idNeeded).max(2_147_483_647, idNeeded),
      ),
      bases: reach(
        'bases',
        z.string({ error: baseIdNeeded }).refine((id) => isUpstreamId('app', id), baseIdNeeded),
      ),
      expiresAt: z
        .date({ error: 'The end of a key must be a date' })
        .refine((end) => end.getTime() > now, 'The end of a key must lie in the future')
        .nullish(),
    })
    .transform(({ name, role, connections, bases, expiresAt }): NewApiKey => ({
      name,
      role,
      connectionIds: connections,
      baseIds: bases,
      expiresAt: expiresAt ?? null,
    }));
}
