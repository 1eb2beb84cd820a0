package app

import "sort"

// Sort sorts items by a comparison, as slices.SortFunc does. That one is compiled anew for every type, some twenty
// kilobytes each; commands sort many types and few items.
func Sort[T any](items []T, compare func(a, b T) int) {
	sort.SliceStable(items, func(i, j int) bool { return compare(items[i], items[j]) < 0 })
}
