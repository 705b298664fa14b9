// Package spell finds the word that somebody meant to type, for error lines that end in "did you mean …?".
//
// What it believes: a slip of the pen is a letter too many, one too few, another one, or two neighbours in the wrong order
// (optimal string alignment). Letters are Unicode code points, so a lost accent is one slip.
//
// What it promises: the same answer for the same words, on every machine. It only advises: nothing is ever read as what it
// suggests.
//
// What an attacker may do: hand in any word. One that is longer than any name is no slip, and costs nothing to refuse.
package spell

import "unicode/utf8"

// MaxWord is the longest word in bytes that is compared at all.
const MaxWord = 64

// Distance is the number of slips that turn a into b, or most+1 when there are more than most.
func Distance(a, b string, most int) int {
	if a == b {
		return 0
	}
	// Each letter of the difference in length is a slip at least.
	if d := utf8.RuneCountInString(a) - utf8.RuneCountInString(b); d > most || -d > most || max(len(a), len(b)) > MaxWord {
		return most + 1
	}
	x, y := []rune(a), []rune(b)
	older, old, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range old {
		old[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return min(old[len(y)], most+1)
}

// Nearest is the one of the words that is the fewest slips away from the typed one, the first of several; empty when all are
// more than most slips away, or as many as they have letters: of such a word nothing was typed.
func Nearest(typed string, most int, words []string) string {
	best, least := "", most+1
	for _, w := range words {
		if d := Distance(typed, w, most); d < least && (d == 0 || d < utf8.RuneCountInString(w)) {
			best, least = w, d
		}
	}
	return best
}
