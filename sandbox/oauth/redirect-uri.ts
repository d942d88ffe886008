const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i;
/** Most characters of a redirect URI. */
const MAX_LENGTH = 2_000;

/**
 * Whether a URI is one that an integration in development may be sent back to: loopback host, any port, and the
 * documented rules (no userinfo, fragment, relative path segments, `*`, control characters or broken encodings).
 * Looks at the text and not only at the parsed URL, which would have tidied up what has to be refused.
 */
export function isLoopbackRedirect(text: string): boolean {
  if (text.length > MAX_LENGTH || hasForbiddenCharacters(text)) return false;
  const parts = /^https?:\/\/([^/?]*)([^?]*)(?:\?(.*))?$/i.exec(text);
  if (!parts || !URL.canParse(text)) return false;
  const [, authority = '', path = '', query = ''] = parts;
  if (authority.includes('@')) return false;
  if (!LOOPBACK_HOST.test(new URL(text).hostname)) return false;
  return !hasRelativeSegments(path) && decodes(path) && decodes(query);
}

function hasForbiddenCharacters(text: string): boolean {
  // Printable ASCII only: whatever else belongs into a URI is percent-encoded.
  return !/^[\x21-\x7e]+$/.test(text) || /[*#\\]/.test(text) || /%00/.test(text);
}

function hasRelativeSegments(path: string): boolean {
  return path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** The redirect with `parameters` added to whatever query it has. */
export function withParameters(redirectUri: string, parameters: Record<string, string>): string {
  const url = new URL(redirectUri);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.append(name, value);
  return url.href;
}
