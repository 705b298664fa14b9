// Package dataset reads and writes measured round trips between hosts at known places: the two tables that `ursa eval`,
// `ursa calib` and a measured world of simnet share.
//
//	nodes.csv            id,name,country_iso2,lat,lon,source
//	rtt.csv or .csv.gz   src_id,dst_id,min_ms,median_ms,samples
//
// What it believes: nothing about the numbers. They are other people's claims; a node may stand elsewhere than its row says
// (the audit finds that out), and a round trip is whatever the source's host measured.
//
// What it promises. Absent is not zero: a pair that was not measured answers ok = false, and a zero, negative, infinite or
// undefined round trip is refused where it is read. Of min_ms and median_ms the first that is given counts; of rows that repeat
// a pair in one direction, and of the two directions, the smaller counts. A row with neither value, and a row from a node to
// itself, says nothing about distance: it is left out and counted in Ignored. Everything else that is not as the format says is
// an error which names file, line, what was found and what would be right.
//
// What an attacker may do: hand in any bytes. Lines, fields, nodes and the unpacked size are limited, so that a table cannot
// exhaust memory, and no input panics.
package dataset
