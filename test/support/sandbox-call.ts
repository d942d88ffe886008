export interface CallOptions {
  token?: string;
  json?: unknown;
  headers?: Record<string, string>;
  body?: string;
}

export interface CallAnswer {
  status: number;
  /** Parsed if it is JSON, else the text; null if empty. */
  body: unknown;
  headers: Headers;
}

/** One request to a sandbox, whatever its answer. Redirects are not followed. */
export async function call(
  sandboxUrl: string,
  method: string,
  path: string,
  { token, json, headers = {}, body }: CallOptions = {},
): Promise<CallAnswer> {
  const response = await fetch(sandboxUrl + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(json !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(json !== undefined ? { body: JSON.stringify(json) } : body !== undefined && { body }),
  });
  const text = await response.text();
  return { status: response.status, body: parsed(text), headers: response.headers };
}

/** A control request; throws unless it succeeds. */
export async function control<Answer = unknown>(
  sandboxUrl: string,
  method: string,
  name: string,
  json?: unknown,
): Promise<Answer> {
  const { status, body } = await call(sandboxUrl, method, `/_control/${name}`, { json });
  if (status !== 200)
    throw new Error(`${method} /_control/${name} answered ${status}: ${JSON.stringify(body)}`);
  return body as Answer;
}

function parsed(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
