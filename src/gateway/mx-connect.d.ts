/** The part of mx-connect that we use; it brings no types. */
declare module "mx-connect" {
  export interface MxEntry {
    exchange: string;
    priority: number;
    A: string[];
    AAAA: string[];
    /** With MTA-STS: whether the policy allows this host. */
    policyMatch?: { valid: boolean; testing: boolean; mode: string };
  }
  export interface Delivery {
    mx: MxEntry[];
  }
  export interface PolicyCache {
    get(domain: string): Promise<unknown>;
    set(domain: string, policy: unknown): Promise<unknown>;
  }
  export interface Options {
    target: string;
    dnsOptions?: {
      blockLocalAddresses?: boolean;
      blockReservedNetworks?: boolean;
      resolveRecords?(name: string, type: string): Promise<unknown[]>;
    };
    mtaSts?: { enabled: boolean; cache?: PolicyCache; logger?(entry: Record<string, unknown>): void };
    connectHook?(delivery: Delivery, options: unknown, done: (error?: Error) => void): void;
  }
  export default function mxConnect(options: Options): Promise<unknown>;
}
