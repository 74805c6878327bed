/** Why a report is not read, in words for a log or a person. It is thrown below this room's front door only, through libraries' callbacks. */
export class Unreadable extends Error {}
