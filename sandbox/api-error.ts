/** Which of the three envelopes the upstream uses carries the error: an object, a bare string, or a list. */
export type ErrorForm = 'object' | 'string' | 'array';

/** An answer that is not a success. Thrown by handlers; the server turns it into `status` and `body()`. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    readonly text?: string,
    readonly form: ErrorForm = 'object',
  ) {
    super(text === undefined ? type : `${type}: ${text}`);
    this.name = 'ApiError';
  }

  /** The JSON body: `{error:{type,message?}}`, `{error:type}` or `{errors:[{error:type,message?}]}`. */
  body(): unknown {
    const message = this.text === undefined ? {} : { message: this.text };
    if (this.form === 'string') return { error: this.type };
    if (this.form === 'array') return { errors: [{ error: this.type, ...message }] };
    return { error: { type: this.type, ...message } };
  }
}

/** 403: unknown base or table, a base that was not granted, and a missing scope look the same on purpose. */
export function notPermittedOrNotFound(): ApiError {
  return new ApiError(
    403,
    'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND',
    'Invalid permissions, or the requested model was not found. Check that both your user and your token have the ' +
      'required permissions, and that the model names and/or ids are correct.',
  );
}

/** 404 with the bare string: no such route, malformed id in the path, or a deleted thing. */
export function notFound(): ApiError {
  return new ApiError(404, 'NOT_FOUND', undefined, 'string');
}

/** 422: a parameter or body key that the endpoint cannot read. */
export function invalidRequest(
  message = 'Invalid request: parameter validation failed. Check your request data.',
): ApiError {
  return new ApiError(422, 'INVALID_REQUEST_UNKNOWN', message);
}
