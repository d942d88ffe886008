import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
import type { TestApp } from './app.ts';

/** Runs an operation of test/operations and returns its data, typed. Throws when the answer carries an error. */
export async function runOperation<Result, Variables extends object>(
  app: Pick<TestApp, 'graphql'>,
  document: DocumentTypeDecoration<Result, Variables> & { toString(): string },
  variables: Variables,
): Promise<Result> {
  const { data, errors } = await app.graphql<Result>(document.toString(), variables);
  if (errors || data === null) throw new Error(`The operation failed: ${JSON.stringify(errors)}`);
  return data;
}
