/**
 * What stands in a copy for characters that PostgreSQL does not store: a zero character, half of a surrogate pair. It is
 * not told apart from one that the upstream has: cells with it are read live, and no text with it is looked for in a copy.
 */
export const replacement = '\ufffd';
