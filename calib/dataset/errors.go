package dataset

import (
	"errors"
	"fmt"
)

// One sentinel for each reason to refuse a table, for errors.Is.
var (
	ErrMissing     = errors.New("file is missing")
	ErrAmbiguous   = errors.New("both rtt.csv and rtt.csv.gz are there")
	ErrHeader      = errors.New("wrong header")
	ErrFields      = errors.New("wrong number of fields")
	ErrQuote       = errors.New("quotation marks do not match")
	ErrText        = errors.New("not printable UTF-8 text")
	ErrTooLarge    = errors.New("too large")
	ErrNoNodes     = errors.New("no node")
	ErrID          = errors.New("not an id")
	ErrDuplicate   = errors.New("id given twice")
	ErrCountry     = errors.New("not a country code")
	ErrCoordinate  = errors.New("not a coordinate")
	ErrUnknownNode = errors.New("unknown node")
	ErrSelf        = errors.New("round trip of a node to itself")
	ErrRTT         = errors.New("not a round trip")
	ErrGzip        = errors.New("not a whole gzip file")
)

// LineError tells where in a table something is wrong; it prints as `rtt.csv:17: min_ms "abc" is …`.
type LineError struct {
	File string // as handed to the reader, without a folder
	Line int    // the first line is 1
	Err  error
}

// Error returns file, line and reason in one line.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// told is an error whose text is written for the reader alone, while errors.Is still finds its sentinel.
type told struct {
	text string
	is   error
}

func (e *told) Error() string { return e.text }
func (e *told) Unwrap() error { return e.is }

// tell returns an error with the given text that is the sentinel.
func tell(is error, format string, args ...any) error {
	return &told{fmt.Sprintf(format, args...), is}
}

// shown quotes a field for an error, shortened so that the error stays one readable line.
func shown(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%q…", s[:40])
	}
	return fmt.Sprintf("%q", s)
}
