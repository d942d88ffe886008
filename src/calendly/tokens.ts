/** An access token together with the number of refreshes that led to it. */
export interface AccessToken {
  value: string;
  generation: number;
}

/** Where calls of one connection get their token. It is asked for every attempt, so it should answer from memory. */
export interface TokenSource {
  connectionId: number;
  current(): Promise<AccessToken>;
  /** After the upstream refused `refused` with a 401: a newer token, or null when there is none to be had. */
  replacementFor(refused: AccessToken): Promise<AccessToken | null>;
}
