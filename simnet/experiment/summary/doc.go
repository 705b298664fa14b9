// Package summary turns a set of results into what people read: rows with shares and their intervals, one for each point or pooled over
// seeds, and the table of what is needed to prove a place.
//
// It believes the set that it is handed, and promises that a row follows from it alone: the resampling of intervals is drawn from the
// experiment's hash and the row's own values. What was not counted is unknown, not zero.
package summary
