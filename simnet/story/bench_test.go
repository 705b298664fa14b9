package story_test

import (
	"testing"

	"github.com/ursa-virtual/ursa/simnet/story"
)

// BenchmarkParse reads a story of seven lines.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := story.Parse("good.txt", []byte(good)); err != nil {
			b.Fatal(err)
		}
	}
}
