"""What is wrong with a file that is not in the language, said so that its author can mend it.

recovery.py finds the places, the others explain them. The codes of this stage:

P01  something else is expected here
P02  a character that the language does not have
P03  a malformed string
P04  a bracket without its partner
P05  two things side by side: an operator, a comma or a line break is missing between them
P06  a word of the language where a name belongs
P07  a mark or a word of another language
P08  a chain of comparisons
P09  a statement or a parameter that does not belong where it stands, or that is no statement
P10  too large, too long or too deep
P11  a file that cannot be read
P12  a file that is not UTF-8
P13  a line that ends or starts in the middle of a value
"""
