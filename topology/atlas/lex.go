package atlas

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind uint8

const (
	end kind = iota
	word
	sign // one of + - & ( ) , *
	quoted
)

// token is a piece of an expression at a byte offset.
type token struct {
	kind kind
	text string
	at   int
}

// lex cuts an expression into tokens. A hyphen between two letters or digits belongs to the word (US-HI, permitted-2.geojson, -5km
// after a sign does not); a hyphen beside a space or a parenthesis is minus.
func lex(s string) ([]token, error) {
	var out []token
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsSpace(r):
			i += size
		case strings.ContainsRune("+-&(),*", r):
			out = append(out, token{sign, s[i : i+1], i})
			i++
		case r == '"':
			t, err := lexQuoted(s, i)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
			i = t.at + len(t.text)
		case isWord(r):
			n := wordLength(s[i:])
			out = append(out, token{word, s[i : i+n], i})
			i += n
		default:
			return nil, fault(s, i, ErrSyntax, "%q has no meaning here: write names, + & minus ( ), cap, buffer or file", r)
		}
	}
	return append(out, token{end, "", len(s)}), nil
}

// isWord says whether a character can stand in a name, a number or a plain file name.
func isWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || strings.ContainsRune("._~/:\\@%$#=", r))
}

func wordLength(s string) int {
	for i, r := range s {
		if isWord(r) {
			continue
		}
		if next, _ := utf8.DecodeRuneInString(s[min(i+1, len(s)):]); r == '-' && i > 0 && isWord(next) {
			continue
		}
		return i
	}
	return len(s)
}

// lexQuoted returns a quoted file name with its quotes; \ escapes " and itself.
func lexQuoted(s string, at int) (token, error) {
	for i := at + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return token{quoted, s[at : i+1], at}, nil
		}
	}
	return token{}, fault(s, at, ErrSyntax, "this quote is never closed")
}

func unquote(s string) string {
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i < len(s)-2 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
