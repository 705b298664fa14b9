package atlas

import (
	"crypto/sha256"
	"sort"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// expr is a region expression in canonical form: unions and intersections are flat, sorted by what they print and without
// repetition; a chain of subtractions is one.
type expr interface {
	// print writes the expression so that Parse reads it back. Strength is that of the operator around it: parentheses appear when
	// the expression's own binds less.
	print(b *strings.Builder, strength int)
}

// Strengths of operators: + and minus bind alike, & binds more.
const (
	weakest = iota
	additive
	multiplicative
)

type (
	nameExpr  struct{ name string }
	unionExpr struct{ list []expr }
	meetExpr  struct{ list []expr }
	minusExpr struct{ from, what expr }
	capExpr   struct {
		centre earth.LatLon
		radius earth.Metres
	}
	fileExpr struct {
		name   string
		digest [sha256.Size]byte
		shape  *polygons
	}
	bufferExpr struct {
		of expr
		by earth.Metres
	}
	// ruleExpr puts the names within under a rule for the sea or for disputes.
	ruleExpr struct {
		rule string
		of   expr
	}
)

func text(e expr) string {
	var b strings.Builder
	e.print(&b, weakest)
	return b.String()
}

// both flattens, sorts and thins the operands of + or &.
func both(a, b expr, parts func(expr) []expr, make func([]expr) expr) expr {
	byText := map[string]expr{}
	for _, e := range append(append([]expr(nil), parts(a)...), parts(b)...) {
		byText[text(e)] = e
	}
	keys := sortedKeys(byText)
	if len(keys) == 1 {
		return byText[keys[0]]
	}
	list := []expr{}
	for _, k := range keys {
		list = append(list, byText[k])
	}
	return make(list)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := []string{}
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func newUnion(a, b expr) expr {
	return both(a, b, func(e expr) []expr {
		if u, ok := e.(unionExpr); ok {
			return u.list
		}
		return []expr{e}
	}, func(l []expr) expr { return unionExpr{l} })
}

func newMeet(a, b expr) expr {
	return both(a, b, func(e expr) []expr {
		if u, ok := e.(meetExpr); ok {
			return u.list
		}
		return []expr{e}
	}, func(l []expr) expr { return meetExpr{l} })
}

func newMinus(from, what expr) expr {
	if m, ok := from.(minusExpr); ok {
		return minusExpr{m.from, newUnion(m.what, what)}
	}
	return minusExpr{from, what}
}

func (e nameExpr) print(b *strings.Builder, _ int) { b.WriteString(e.name) }

func printList(b *strings.Builder, list []expr, sign string, own, strength int) {
	if own < strength {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	for i, e := range list {
		if i > 0 {
			b.WriteString(sign)
		}
		e.print(b, own+1)
	}
}

func (e unionExpr) print(b *strings.Builder, strength int) {
	printList(b, e.list, "+", additive, strength)
}

func (e meetExpr) print(b *strings.Builder, strength int) {
	printList(b, e.list, " & ", multiplicative, strength)
}

func (e minusExpr) print(b *strings.Builder, strength int) {
	printList(b, []expr{e.from, e.what}, " minus ", additive, strength)
}

func (e capExpr) print(b *strings.Builder, _ int) {
	b.WriteString("cap(" + number(e.centre.Lat) + "," + number(e.centre.Lon) + "," + length(e.radius) + ")")
}

func (e fileExpr) print(b *strings.Builder, _ int) { b.WriteString("file(" + quoteName(e.name) + ")") }

func (e bufferExpr) print(b *strings.Builder, _ int) {
	b.WriteString("buffer(")
	e.of.print(b, weakest)
	b.WriteString("," + length(e.by) + ")")
}

func (e ruleExpr) print(b *strings.Builder, _ int) {
	b.WriteString(e.rule + "(")
	e.of.print(b, weakest)
	b.WriteByte(')')
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// length prints whole kilometres as such and all else in metres.
func length(m earth.Metres) string {
	if km := float64(m) / 1000; m != 0 && km == float64(int64(km)) && earth.Metres(km*1000) == m {
		return number(km) + "km"
	}
	return number(float64(m)) + "m"
}

// quoteName puts a file name in quotes unless the grammar reads it as one word.
func quoteName(name string) string {
	if name != "" && wordLength(name) == len(name) {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}
