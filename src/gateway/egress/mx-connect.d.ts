/** The part of mx-connect that we use; it brings no types. */
declare module "mx-connect" {
  export interface MxEntry {
    exchange: string;
    priority: number;
    A: string[];
    AAAA: string[];
  }
  export interface Delivery {
    mx: MxEntry[];
  }
  export interface Options {
    target: string;
    dnsOptions?: {
      blockLocalAddresses?: boolean;
      blockReservedNetworks?: boolean;
      resolveRecords?(name: string, type: string): Promise<unknown[]>;
    };
    connectHook?(delivery: Delivery, options: unknown, done: (error?: Error) => void): void;
  }
  export default function mxConnect(options: Options): Promise<unknown>;
}

declare module "mx-connect/lib/tools.js" {
  const tools: {
    /** Why an address may not be connected to; false when it may. */
    isInvalid(
      delivery: { dnsOptions: { blockLocalAddresses: boolean; blockReservedNetworks: boolean } },
      address: string,
    ): string | false;
  };
  export default tools;
}
