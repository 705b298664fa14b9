package atlas

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The ways in which an expression can be wrong. Each is wrapped in a SyntaxError that points at the place.
var (
	ErrSyntax  = errors.New("not a region expression")
	ErrUnknown = errors.New("no such place")
	ErrValue   = errors.New("value out of range")
	ErrFile    = errors.New("polygon file")
)

// SyntaxError is a fault in an expression, at a character.
type SyntaxError struct {
	Expr   string // the whole expression
	Column int    // of the fault, counted in characters from 1
	Kind   error  // ErrSyntax, ErrUnknown, ErrValue, or what is wrong with a file
	What   string // what is wrong and what would be right
}

// Error is one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("region %q, character %d: %s", clip(e.Expr), e.Column, e.What)
}

// Unwrap returns the kind.
func (e *SyntaxError) Unwrap() error { return e.Kind }

// Caret returns the expression and, below it, a caret under the fault.
func (e *SyntaxError) Caret() string {
	return onOneLine(e.Expr) + "\n" + strings.Repeat(" ", e.Column-1) + "^"
}

// clip shortens what a message quotes.
func clip(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

func fault(s string, at int, kind error, format string, args ...any) *SyntaxError {
	at = min(at, len(s))
	return &SyntaxError{Expr: s, Column: utf8.RuneCountInString(s[:at]) + 1, Kind: kind, What: onOneLine(fmt.Sprintf(format, args...))}
}

// onOneLine puts spaces for control characters, which names of files may have.
func onOneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
