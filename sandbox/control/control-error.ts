import { ApiError } from '../api-error.ts';

/** 400 of a control route; the message names what is wrong and what would be right. */
export function controlError(message: string): ApiError {
  return new ApiError(400, 'INVALID_CONTROL_REQUEST', message);
}
